"""The batch norm layer over two training steps and an evaluation.

    NAME/gamma, beta                              [c]
    NAME/step1/x, step1/out                       a batch in training and what comes out
    NAME/step1/running_mean, step1/running_var    after the step; 0 and 1 before the first
    NAME/evaluate/x, evaluate/out                 with the running statistics of step 2

CS231n's convention: running = momentum * running + (1 - momentum) * batch, the variance divided by n. PyTorch's own
layer divides the running variance by n - 1 and gives momentum the opposite meaning, so the update is written out.
"""

import zlib

import numpy as np
import torch
import torch.nn.functional as F

from .recorder import Family


def record(cases, name, shape, momentum=0.9, eps=1e-5):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    c = shape[-1]
    cases.describe(name, {"momentum": momentum, "eps": eps})
    gamma, beta = rng.uniform(0.5, 2, c), rng.uniform(-1, 1, c)
    cases.put(f"{name}/gamma", gamma)
    cases.put(f"{name}/beta", beta)
    mean, variance = np.zeros(c), np.ones(c)

    def normalised(x, statistics, training):
        arguments = [None if a is None else torch.from_numpy(a) for a in (*statistics, gamma, beta)]
        out = F.batch_norm(torch.from_numpy(x.reshape(-1, c)), *arguments, training=training, eps=eps)
        return out.numpy().reshape(shape)

    for step in (1, 2):
        x = rng.uniform(-2, 3, shape)
        rows = x.reshape(-1, c)
        mean = momentum * mean + (1 - momentum) * rows.mean(0)
        variance = momentum * variance + (1 - momentum) * rows.var(0)
        cases.put(f"{name}/step{step}/x", x)
        cases.put(f"{name}/step{step}/out", normalised(x, (None, None), True))
        cases.put(f"{name}/step{step}/running_mean", mean)
        cases.put(f"{name}/step{step}/running_var", variance)
    x = rng.uniform(-2, 3, shape)
    cases.put(f"{name}/evaluate/x", x)
    cases.put(f"{name}/evaluate/out", normalised(x, (mean, variance), False))


def family():
    cases = Family("layers")
    record(cases, "batchnorm_layer/matrix", (6, 3))
    record(cases, "batchnorm_layer/image", (2, 3, 2, 4))
    record(cases, "batchnorm_layer/one_feature", (4, 1))
    record(cases, "batchnorm_layer/momentum_0.5", (5, 2), momentum=0.5, eps=1e-3)
    return cases
