"""Reductions over sets of axes."""

import math

import numpy as np
import torch

from .recorder import Family, booleans, f64, i64, integers, signed

inf, nan = math.inf, math.nan

# None stands for all axes.
AXES = {"all": None, "axis0": [0], "axis1": [1], "last": [-1], "axes02": [0, 2], "axes_listed": [2, 1]}


def flattened(x, axes):
    """The reduced axes as one last axis, in row-major order, and the shape that keep_dims gives."""
    axes = sorted(range(x.ndim) if axes is None else [a % x.ndim for a in axes])
    kept = [a for a in range(x.ndim) if a not in axes]
    short = [x.shape[a] for a in kept]
    full = [1 if a in axes else x.shape[a] for a in range(x.ndim)]
    count = math.prod(x.shape[a] for a in axes)
    return x.permute(kept + axes).reshape(short + [count]), short, full


def over(rule):
    """A reduction of a last axis made into one of any axes."""
    def reduce(x, axes=None, keep=False):
        flat, short, full = flattened(x, axes)
        return rule(flat).reshape(full if keep else short)
    return reduce


def pick(choose):
    # The first index wins a tie; torch.amax would split the gradient evenly.
    def rule(x):
        index = torch.from_numpy(np.asarray(choose(x.detach().numpy(), axis=-1)))
        return x.gather(-1, index.unsqueeze(-1)).squeeze(-1)
    return over(rule)


def product(x):
    # Multiplied out, so that zeros are no special case for any derivative.
    result = torch.ones_like(x[..., 0]) if x.shape[-1] else x.new_ones(x.shape[:-1])
    for factor in x.unbind(-1):
        result = result * factor
    return result


SMOOTH = {
    "sum": over(lambda x: x.sum(-1)),
    "mean": over(lambda x: x.mean(-1)),
    "prod": over(product),
    "max": pick(np.argmax),
    "min": pick(np.argmin),
    "var": over(lambda x: x.var(-1, correction=0)),
    "std": over(lambda x: x.std(-1, correction=0)),
    "squared_deviations": over(lambda x: x.var(-1, correction=0) * x.shape[-1]),
    "norm": over(lambda x: torch.linalg.vector_norm(x, dim=-1)),
    "logsumexp": over(lambda x: torch.logsumexp(x, -1)),
}


def floating(cases):
    for name, function in SMOOTH.items():
        for label, axes in AXES.items():
            for keep in (False, True):
                cases.add(f"{name}/{label}{'_keep' if keep else ''}", lambda x: function(x, axes, keep),
                          signed(2, 3, 4), axes=axes, keep_dims=keep)
        cases.add(f"{name}/vector", lambda x: function(x), signed(7))
        cases.add(f"{name}/rest_is_empty", lambda x: function(x, [1]), signed(0, 3), axes=[1])
        if name != "std":
            cases.add(f"{name}/size_one", lambda x: function(x, [1]), signed(3, 1), axes=[1])
            cases.add(f"{name}/scalar", lambda x: function(x), signed())
    cases.add("sum/long", SMOOTH["sum"], signed(1000))
    cases.add("mean/long_rows", lambda x: SMOOTH["mean"](x, [0]), signed(300, 3), axes=[0])
    for label, (shape, target) in {"row": ((2, 3), (3,)), "column": ((2, 3), (2, 1)), "scalar": ((2, 3), ()),
                                   "middle": ((2, 3, 4), (3, 1)), "same": ((2, 3), (2, 3)), "ones": ((2, 3), (1, 1)),
                                   "empty": ((0, 3), (3,))}.items():
        cases.add(f"sum_to/{label}", lambda x: x.sum_to_size(target) ** 2, signed(*shape), shape=target, note="squared")
    cases.add("sum/repeated", lambda x: (x * x).sum() * x.sum(), signed(2, 3))


def edges(cases):
    for name in ("sum", "prod"):
        cases.add(f"{name}/empty", lambda x: SMOOTH[name](x, [0]), signed(0, 3), axes=[0])
        cases.add(f"{name}/empty_all", lambda x: SMOOTH[name](x), signed(0, 3))
    cases.add("prod/one_zero", lambda x: SMOOTH["prod"](x, [1]), f64([[0, 2, 3], [1, 0, -2], [2, 3, 4]]), axes=[1])
    cases.add("prod/two_zeros", lambda x: SMOOTH["prod"](x, [1]), f64([[0, 0, 3], [1, 0, 0]]), axes=[1])

    ties = f64([[1, 3, 3], [2, 2, 2], [-1, -1, -3]])
    for name in ("max", "min"):
        function = SMOOTH[name]
        cases.add(f"{name}/ties", lambda x: function(x, [1]), ties, axes=[1], order=1, note="to the first index")
        cases.add(f"{name}/ties_axis0", lambda x: function(x, [0]), ties.T.copy(), axes=[0], order=1)
        cases.add(f"{name}/ties_all", lambda x: function(x), ties, order=1, note="first in row-major order")
        cases.add(f"{name}/ties_axes02", lambda x: function(x, [0, 2]), np.ones((2, 2, 2)), axes=[0, 2], order=1)
        cases.add(f"{name}/nan", lambda x: getattr(torch, "a" + name)(x, 1), f64([[1, nan, 2], [nan, 0, -inf]]),
                  order=0, axes=[1])
        cases.add(f"{name}/infinite", lambda x: function(x, [1]), f64([[-inf, -inf], [inf, 1]]), axes=[1], order=1)
        cases.add(f"{name}/integers", lambda x: getattr(torch, "a" + name)(x, 1), integers(-9, 9, 3, 4), order=0,
                  axes=[1])
        cases.add(f"arg{name}/axis1", lambda x: getattr(torch, "arg" + name)(x, 1), signed(2, 3, 4), order=0, axis=1)
        cases.add(f"arg{name}/last", lambda x: getattr(torch, "arg" + name)(x, -1), signed(2, 3, 4), order=0, axis=-1)
        cases.add(f"arg{name}/axis0_keep", lambda x: getattr(torch, "arg" + name)(x, 0, True), signed(3, 4), order=0,
                  axis=0, keep_dims=True)
        first = {"max": np.argmax, "min": np.argmin}[name]
        cases.add(f"arg{name}/ties", lambda x: torch.from_numpy(first(x.numpy(), axis=1)), ties, order=0, axis=1)
        cases.add(f"arg{name}/nan", lambda x: torch.from_numpy(first(x.numpy(), axis=1)),
                  f64([[1, nan, 2, nan], [3, 0, -inf, inf]]), order=0, axis=1)
        cases.add(f"arg{name}/all", lambda x: torch.from_numpy(np.asarray(first(x.numpy()))), signed(2, 3, 4), order=0)
        cases.add(f"arg{name}/axes02", lambda x: torch.from_numpy(first(flattened(x, [0, 2])[0].numpy(), axis=-1)),
                  signed(2, 3, 4), order=0, axes=[0, 2], note="the position in row-major order of the reduced axes")
        cases.add(f"arg{name}/size_one", lambda x: getattr(torch, "arg" + name)(x, 1), signed(3, 1), order=0, axis=1)
        cases.add(f"arg{name}/integers", lambda x: getattr(torch, "arg" + name)(x, 1), i64([[3, 9, 1], [5, 2, 7]]),
                  order=0, axis=1)

    # Far from the origin: the two-pass formula keeps all digits of these data, PyTorch's running
    # update loses four of them, E[x^2] - E[x]^2 nearly all.
    far = 1e6 + np.array([[0.25, -0.5, 1, 3], [0.5, 0.25, -0.125, 2]])

    def two_passes(x):
        return ((x - x.mean(1, keepdim=True)) ** 2).mean(1)
    cases.add("var/far", two_passes, far, axes=[1])
    cases.add("std/far", lambda x: two_passes(x).sqrt(), far, axes=[1])
    cases.add("squared_deviations/far", lambda x: two_passes(x) * 4, far, axes=[1])
    cases.add("var/constant", lambda x: SMOOTH["var"](x, [1]), np.full((2, 3), 0.75), axes=[1])
    cases.add("std/constant", lambda x: SMOOTH["std"](x, [1]), np.full((2, 3), 0.75), axes=[1], order=1,
              note="the gradient is 0")
    for name in ("var", "std"):
        cases.add(f"{name}/unbiased", lambda x: getattr(x, name)(1, correction=1), signed(2, 4), axes=[1], correction=1)
    cases.add("norm/zero", lambda x: SMOOTH["norm"](x, [1]), f64([[0, 0, 0], [3, 0, 4]]), axes=[1], order=1,
              note="the gradient at 0 is 0")
    cases.add("norm/single_negative", lambda x: SMOOTH["norm"](x, [1]), f64([[-2.0], [3.0]]), axes=[1], order=1)

    logsumexp = SMOOTH["logsumexp"]
    huge = f64([[1e4, 1e4 - 1, -1e4], [-1e4, -1e4 - 2, -1e4 + 1], [0, 1e4, 1]])
    cases.add("logsumexp/huge", lambda x: logsumexp(x, [1]), huge, axes=[1])
    cases.add("logsumexp/ties", lambda x: logsumexp(x, [1]), ties, axes=[1])
    cases.add("logsumexp/some_minus_infinity", lambda x: logsumexp(x, [1]), f64([[1, -inf, 2], [-inf, 0, -inf]]),
              axes=[1], order=1)
    cases.add("logsumexp/all_minus_infinity", lambda x: logsumexp(x, [1]), f64([[-inf, -inf], [inf, 1]]), axes=[1],
              order=0)

    for name in ("all", "any"):
        function = getattr(torch, name)
        mask = np.array([[True, True], [True, False], [False, False]])
        cases.add(f"{name}/everything", lambda x: function(x), mask, order=0)
        cases.add(f"{name}/axis1", lambda x: function(x, 1), mask, order=0, axes=[1])
        cases.add(f"{name}/axis0_keep", lambda x: function(x, 0, True), mask, order=0, axes=[0], keep_dims=True)
        cases.add(f"{name}/axes02", lambda x: function(x, (0, 2)), booleans(2, 3, 2), order=0, axes=[0, 2])
        cases.add(f"{name}/empty", lambda x: function(x, 0), np.zeros((0, 2), bool), order=0, axes=[0])


def family():
    cases = Family("reduce")
    floating(cases)
    edges(cases)
    return cases
