"""Small models: many ops together, values shared by several paths."""

import torch
import torch.nn.functional as F

from .recorder import Family, integers, signed


def batchnorm(x, gamma, beta):
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)


def notebook_net(x, y, w1, b1, gamma, beta, w2, b2):
    """affine, batch norm, relu, affine, softmax loss and an L2 penalty: the seed's network, small."""
    hidden = torch.relu(batchnorm(x @ w1 + b1, gamma, beta))
    return F.cross_entropy(hidden @ w2 + b2, y) + 0.5 * 0.3 * ((w1 * w1).sum() + (w2 * w2).sum())


def smooth_net(x, y, w1, b1, gamma, beta, w2, b2):
    hidden = F.gelu(F.layer_norm(x @ w1 + b1, (5,), gamma, beta, 1e-5))
    return F.cross_entropy(hidden @ w2 + b2, y, label_smoothing=0.1)


def attention(q, k, v):
    weights = torch.softmax(q @ k.mT / k.shape[-1] ** 0.5, -1)
    return weights @ v


def family():
    cases = Family("compose")
    data = [signed(6, 4), integers(0, 3, 6), signed(4, 5), signed(5), signed(5), signed(5), signed(5, 3), signed(3)]
    cases.add("compose/notebook_net", notebook_net, *data, reg=0.3)
    cases.add("compose/smooth_net", smooth_net, *data, label_smoothing=0.1)
    cases.add("compose/attention", attention, signed(2, 3, 4), signed(2, 5, 4), signed(2, 5, 3))
    cases.add("compose/self_attention", lambda x: attention(x, x, x), signed(2, 3, 4))
    cases.add("compose/shared", lambda x: torch.exp(torch.sin(x)) * torch.tanh(x) + x / (1 + x * x), signed(2, 3))
    cases.add("compose/residual", lambda x, w: torch.tanh(x @ w) + torch.tanh(torch.tanh(x @ w) @ w + x), signed(2, 3),
              signed(3, 3))
    return cases
