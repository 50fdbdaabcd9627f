"""Batch norm over all axes but the last, layer norm over the last, group and instance norm of channels-last images."""

import numpy as np
import torch
import torch.nn.functional as F

from .recorder import Family, f64, signed, uniform


def batchnorm(eps):
    def function(x, gamma, beta):
        rows = F.batch_norm(x.reshape(-1, x.shape[-1]), None, None, gamma, beta, training=True, eps=eps)
        return rows.reshape(x.shape)
    return function


def written_out(eps):
    # PyTorch refuses a single row in training.
    def function(x, gamma, beta):
        axes = tuple(range(x.ndim - 1))
        centred = x - x.mean(axes)
        return gamma * centred / torch.sqrt((centred * centred).mean(axes) + eps) + beta
    return function


def batchnorm_inference(eps):
    def function(x, gamma, beta, mean, variance):
        # Constants as far as batch_norm is concerned, so the formula is written out to have their gradients too.
        return gamma * (x - mean) / torch.sqrt(variance + eps) + beta
    return function


def channels_first(x):
    return x.movedim(-1, 1)


def groupnorm(groups, eps=1e-5):
    return lambda x, g, b: F.group_norm(channels_first(x), groups, g, b, eps).movedim(1, -1)


def instancenorm(eps=1e-5):
    return lambda x, g, b: F.instance_norm(channels_first(x), weight=g, bias=b, eps=eps).movedim(1, -1)


def family():
    cases = Family("norm")
    shapes = {"matrix": (5, 3), "image": (2, 3, 2, 4), "sequence": (2, 3, 2), "one_feature": (4, 1)}
    for label, shape in shapes.items():
        c = shape[-1]
        x, gamma, beta = signed(*shape), signed(c), signed(c)
        cases.add(f"batchnorm/{label}", batchnorm(1e-5), x, gamma, beta, eps=1e-5)
        cases.add(f"batchnorm_inference/{label}", batchnorm_inference(1e-5), x, gamma, beta, signed(c),
                  uniform(0.2, 2, c), eps=1e-5, inputs="x, gamma, beta, running mean, running variance")
        cases.add(f"layernorm/{label}", lambda x, g, b: F.layer_norm(x, x.shape[-1:], g, b, 1e-5), x, gamma, beta,
                  order=1 if c == 1 else 2, eps=1e-5)
    cases.add("batchnorm/eps_1e-3", batchnorm(1e-3), signed(4, 3), signed(3), signed(3), eps=1e-3)
    cases.add("batchnorm/batch_of_one", written_out(1e-5), signed(1, 3), signed(3), signed(3), eps=1e-5, order=1)
    constant = np.array([[1.5, 0.25], [1.5, -1], [1.5, 2]])
    cases.add("batchnorm/constant_column", written_out(1e-5), constant, signed(2), signed(2), eps=1e-5, order=1)
    far = 1e4 + np.array([[0.5, -1], [2, 0.25], [-1.5, 3], [0.75, -2]])
    cases.add("batchnorm/far", written_out(1e-5), far, signed(2), signed(2), eps=1e-5, order=1)
    cases.add("batchnorm/repeated", lambda x: batchnorm(1e-5)(x, x[0], x[1]), signed(4, 3), eps=1e-5)
    cases.add("layernorm/eps_1e-3", lambda x, g, b: F.layer_norm(x, (6,), g, b, 1e-3), signed(2, 6), signed(6),
              signed(6), eps=1e-3)
    cases.add("layernorm/vector", lambda x, g, b: F.layer_norm(x, (5,), g, b, 1e-5), signed(5), signed(5), signed(5),
              eps=1e-5)
    cases.add("layernorm/constant_row", lambda x, g, b: F.layer_norm(x, (3,), g, b, 1e-5),
              f64([[1.5, 1.5, 1.5], [1, 2, -1]]), signed(3), signed(3), eps=1e-5, order=1)
    for label, shape, groups in (("image", (2, 3, 2, 4), 2), ("one_group", (2, 3, 2, 4), 1), ("matrix", (3, 6), 3),
                                 ("groups_of_one", (2, 2, 2, 3), 3), ("sequence", (2, 3, 4), 2)):
        c = shape[-1]
        cases.add(f"groupnorm/{label}", groupnorm(groups), signed(*shape), signed(c), signed(c), groups=groups, eps=1e-5)
    cases.add("groupnorm/eps_1e-3", groupnorm(2, 1e-3), signed(2, 2, 4), signed(4), signed(4), groups=2, eps=1e-3)
    for label, shape in (("image", (2, 3, 2, 4)), ("sequence", (2, 3, 2))):
        c = shape[-1]
        cases.add(f"instancenorm/{label}", instancenorm(), signed(*shape), signed(c), signed(c), eps=1e-5)
    cases.add("instancenorm/eps_1e-3", instancenorm(1e-3), signed(2, 4, 2), signed(2), signed(2), eps=1e-3)
    return cases
