"""max_pool2d, avg_pool2d and the adaptive pools, channels last."""

import torch
import torch.nn.functional as F

from .conv import first, last
from .recorder import Family, f64, signed


def pool(function, *arguments, **options):
    return lambda x: last(function(first(x), *arguments, **options))


def largest(x):
    """Where the largest elements of 2x2 windows are: numbers in a window, and positions in the image."""
    _, at = F.max_pool2d(first(x), 2, return_indices=True)
    return last(at // x.shape[2] % 2 * 2 + at % x.shape[2] % 2), at


def number(x):
    return largest(x)[0]


def put(x, g):
    at = largest(x.detach())[1]
    n, c, _, _ = at.shape
    image = torch.zeros(n, c, x.shape[1] * x.shape[2], dtype=x.dtype)
    image = image.scatter_add(2, at.flatten(2), first(g).flatten(2))
    return last(image.reshape(n, c, x.shape[1], x.shape[2]))


def pick(x, t):
    at = largest(x.detach())[1]
    return last(first(t).flatten(2).gather(2, at.flatten(2)).reshape(at.shape))


def spread(g):
    return g.repeat_interleave(2, 1).repeat_interleave(2, 2) / 4


def family():
    cases = Family("pool")
    for label, x, size, options in (
            ("plain", (2, 4, 6, 3), 2, {}),
            ("remainder", (1, 5, 7, 2), 2, {}),
            ("three", (2, 7, 7, 2), 3, {}),
            ("overlap", (1, 5, 6, 2), 3, {"stride": 2, "padding": 1}),
            ("stride_1", (1, 4, 4, 1), (2, 3), {"stride": 1}),
            ("one", (1, 1, 1, 1), 1, {}),
            ("many_channels", (1, 4, 4, 70), 2, {}),
            ("empty", (0, 4, 4, 2), 2, {})):
        cases.add(f"max_pool2d/{label}", pool(F.max_pool2d, size, **options), signed(*x))
        cases.add(f"avg_pool2d/{label}", pool(F.avg_pool2d, size, **options), signed(*x))
    cases.add("max_pool2d/dilation", pool(F.max_pool2d, 2, stride=1, dilation=2), signed(1, 5, 5, 2))
    cases.add("max_pool2d/ties", pool(F.max_pool2d, 2), f64([[[[1.0], [1.0]], [[1.0], [1.0]]]]))
    cases.add("avg_pool2d/inside", pool(F.avg_pool2d, 3, stride=2, padding=1, count_include_pad=False),
              signed(2, 5, 5, 2))
    for label, x, size in (("even", (2, 4, 6, 2), (2, 3)), ("uneven", (1, 5, 7, 2), (3, 4)), ("one", (1, 3, 3, 2), 1)):
        cases.add(f"adaptive_max_pool2d/{label}", pool(F.adaptive_max_pool2d, size), signed(*x))
        cases.add(f"adaptive_avg_pool2d/{label}", pool(F.adaptive_avg_pool2d, size), signed(*x))
    cases.add("global_avg_pool2d/plain", lambda x: x.mean((1, 2)), signed(2, 3, 4, 2))
    cases.add("global_max_pool2d/plain", lambda x: x.amax((1, 2)), signed(2, 3, 4, 2))
    cases.add("max_pool2d_index/plain", number, signed(2, 4, 6, 3), order=0)
    cases.add("max_pool2d_put/plain", put, signed(2, 4, 6, 3), signed(2, 2, 3, 3), wrt=[1])
    cases.add("max_pool2d_pick/plain", pick, signed(2, 4, 6, 3), signed(2, 4, 6, 3), wrt=[1])
    cases.add("avg_pool2d_images/plain", spread, signed(2, 2, 3, 3))
    return cases
