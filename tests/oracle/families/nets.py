"""Small nets for images, their parameters named as Tapestry's State is.

    NAME/x, NAME/cotangent       images and what the scores' gradient is
    NAME/train, NAME/evaluate    scores by statistics of the batch, and by running ones
    NAME/state/...               parameters and running statistics
    NAME/grad/...                gradients of sum(train * cotangent) with respect to the parameters

Residual nets are written by PyTorch's functions, the transformer's blocks are torch.nn.TransformerEncoderLayer.
"""

import zlib

import numpy as np
import torch
import torch.nn.functional as F

from .recorder import Family


class State:
    """Hands out parameters: random, remembered by name."""

    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.tensors = {}

    def __call__(self, name, *shape, low=-0.7, high=0.7, statistic=False):
        if name not in self.tensors:
            self.tensors[name] = torch.tensor(self.rng.uniform(low, high, shape), requires_grad=not statistic)
        return self.tensors[name]


def conv(state, name, x, size, out, stride=1, padding=None, bias=False):
    w = state(f"{name}/weight", size, size, x.shape[1], out).permute(3, 2, 0, 1)
    b = state(f"{name}/bias", out) if bias else None
    return F.conv2d(x, w, b, stride=stride, padding=size // 2 if padding is None else padding)


def linear(state, name, x, out):
    return x @ state(f"{name}/weight", x.shape[-1], out) + state(f"{name}/bias", out)


def norm(state, name, x, training):
    c = x.shape[1]
    gamma, beta = state(f"{name}/gamma", c, low=0.5, high=1.5), state(f"{name}/beta", c)
    mean = state(f"{name}/running_mean", c, statistic=True)
    var = state(f"{name}/running_var", c, low=0.5, high=1.5, statistic=True)
    return F.batch_norm(x, None if training else mean, None if training else var, gamma, beta, training=training)


def three_layer(state, x, training):
    x = F.max_pool2d(F.relu(conv(state, "conv1", x, 3, 2, bias=True)), 2)
    x = F.relu(linear(state, "fc1", x.permute(0, 2, 3, 1).flatten(1), 5))
    return linear(state, "fc2", x, 3)


def resnet(project):
    def scores(state, x, training):
        x = F.relu(norm(state, "stem/norm", conv(state, "stem/conv", x, 3, 2), training))
        for name, out, stride in (("stage1/block1", 2, 1), ("stage2/block1", 4, 2), ("stage2/block2", 4, 1)):
            y = F.relu(norm(state, f"{name}/norm1", conv(state, f"{name}/conv1", x, 3, out, stride), training))
            y = norm(state, f"{name}/norm2", conv(state, f"{name}/conv2", y, 3, out), training)
            if stride != 1 and project:
                x = norm(state, f"{name}/shortcut/norm", conv(state, f"{name}/shortcut/conv", x, 1, out, stride),
                         training)
            elif stride != 1:
                more = out - x.shape[1]
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more // 2, more - more // 2))
            x = F.relu(x + y)
        return linear(state, "head", x.mean((2, 3)), 3)
    return scores


def vit(state, x, training, width=4, heads=2, mlp=6):
    x = conv(state, "patches", x, 4, width, stride=4, padding=0, bias=True).flatten(2).transpose(1, 2)
    x = x + state("tokens/positions", x.shape[1], width)
    layer_norm = lambda name: (state(f"{name}/gamma", width, low=0.5, high=1.5), state(f"{name}/beta", width))
    for block in ("block1", "block2"):
        layer = torch.nn.TransformerEncoderLayer(width, heads, mlp, dropout=0, activation="gelu", batch_first=True,
                                                 norm_first=True, dtype=torch.float64)
        parts = {}
        parts["norm1.weight"], parts["norm1.bias"] = layer_norm(f"{block}/norm1")
        parts["norm2.weight"], parts["norm2.bias"] = layer_norm(f"{block}/norm2")
        part = lambda name, rows, out: (state(f"{block}/{name}/weight", rows, out).T,
                                        state(f"{block}/{name}/bias", out))
        inner = [part(f"attention/{name}", width, width) for name in ("query", "key", "value")]
        parts["self_attn.in_proj_weight"] = torch.cat([w for w, _ in inner])
        parts["self_attn.in_proj_bias"] = torch.cat([b for _, b in inner])
        parts["self_attn.out_proj.weight"], parts["self_attn.out_proj.bias"] = part("attention/output", width, width)
        parts["linear1.weight"], parts["linear1.bias"] = part("mlp1", width, mlp)
        parts["linear2.weight"], parts["linear2.bias"] = part("mlp2", mlp, width)
        x = torch.func.functional_call(layer, parts, (x,))
    x = F.layer_norm(x, (width,), *layer_norm("norm"))
    return linear(state, "head", x.mean(1), 3)


def record(cases, name, scores, side):
    state = State(name)
    x, cotangent = state.rng.normal(size=(3, side, side, 3)), state.rng.uniform(0.3, 1, (3, 3))
    images = torch.from_numpy(x).permute(0, 3, 1, 2)
    train = scores(state, images, True)
    train.backward(torch.from_numpy(cotangent))
    cases.describe(name, {"side": side})
    cases.put(f"{name}/x", x)
    cases.put(f"{name}/cotangent", cotangent)
    cases.put(f"{name}/train", train.detach().numpy())
    cases.put(f"{name}/evaluate", scores(state, images, False).detach().numpy())
    for parameter, value in state.tensors.items():
        cases.put(f"{name}/state/{parameter}", value.detach().numpy())
        if value.requires_grad:
            cases.put(f"{name}/grad/{parameter}", value.grad.numpy())


def family():
    cases = Family("nets")
    record(cases, "three_layer", three_layer, 6)
    record(cases, "resnet_pad", resnet(False), 6)
    record(cases, "resnet_project", resnet(True), 6)
    record(cases, "vit", vit, 8)
    return cases
