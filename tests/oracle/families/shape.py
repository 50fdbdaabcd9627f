"""Ops that move elements: reshape, permute, slice, concat, pad, take, scatter_add, one_hot, ..."""

import numpy as np
import torch
import torch.nn.functional as F

from .recorder import Family, booleans, i64, integers, signed


def take(x, indices, axis):
    """NumPy's take: the axis is replaced by the axes of the indices."""
    axis %= x.ndim
    flat = x.index_select(axis, indices.reshape(-1))
    return flat.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1:])


def scatter_add(x, indices, updates, axis):
    """x with the slices of `updates` along `axis` added at `indices`, repeated indices summed: the adjoint of take."""
    axis %= x.ndim
    flat = updates.reshape(x.shape[:axis] + (indices.numel(),) + x.shape[axis + 1:])
    return x.index_add(axis, indices.reshape(-1), flat)


def squared(function):
    """Makes a linear op quadratic, so that second order has something to check."""
    return lambda x: function(x) * function(x)


def rearrange(cases):
    for label, shape, target in [("flatten", (2, 3, 4), (24,)), ("split", (6,), (2, 3)), ("to_scalar", (1, 1), ()),
                                 ("from_scalar", (), (1, 1)), ("empty", (0, 3), (3, 0, 2))]:
        cases.add(f"reshape/{label}", lambda x: x.reshape(target), signed(*shape), shape=target)
    cases.add("reshape/second_order", squared(lambda x: x.reshape(3, 2)), signed(2, 3), shape=(3, 2))

    for order in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]:
        cases.add(f"permute/{''.join(map(str, order))}", lambda x: x.permute(order), signed(2, 3, 4), order_=order)
    cases.add("permute/rank4", squared(lambda x: x.permute(0, 3, 1, 2)), signed(2, 2, 3, 2), order_=(0, 3, 1, 2))
    cases.add("permute/empty", lambda x: x.permute(1, 0), signed(0, 3), order_=(1, 0))
    cases.add("permute/scalar", lambda x: x.permute(()), signed(), order_=())

    for label, shape, target in [("row", (3,), (2, 3)), ("column", (2, 1), (2, 3)), ("scalar", (), (2, 3)),
                                 ("middle", (2, 1, 2), (3, 2, 4, 2)), ("same", (2, 3), (2, 3)), ("empty", (1,), (0,))]:
        cases.add(f"broadcast_to/{label}", lambda x: x.broadcast_to(target), signed(*shape), shape=target)
    cases.add("broadcast_to/second_order", squared(lambda x: x.broadcast_to((2, 3))), signed(3), shape=(2, 3))

    cases.add("transpose/batch", squared(lambda x: x.mT), signed(2, 3, 4))
    cases.add("squeeze/all", lambda x: x.squeeze(), signed(1, 3, 1))
    cases.add("squeeze/last", squared(lambda x: x.squeeze(-1)), signed(1, 3, 1), axes=[-1])
    cases.add("expand_dims/both_ends", squared(lambda x: x[None, :, :, None]), signed(2, 3), axes=[0, -1])

    for axes in [(0,), (1,), (0, 2), (0, 1, 2), (-1,)]:
        label = "".join(str(a % 3) if a >= 0 else "last" for a in axes)
        cases.add(f"flip/{label}", lambda x: x.flip(axes), signed(2, 3, 4), axes=axes)
    cases.add("flip/second_order", squared(lambda x: x.flip((0,))), signed(3), axes=(0,))


def cut(cases):
    slices = {
        "middle": ((5,), [(1, 4, 1)]), "step2": ((7,), [(0, 7, 2)]), "step3_offset": ((8,), [(1, 8, 3)]),
        "matrix": ((4, 5), [(1, 3, 1), (0, 5, 2)]), "block": ((3, 4, 5), [(0, 3, 2), (1, 4, 1), (2, 5, 2)]),
        "whole": ((2, 3), [(0, 2, 1), (0, 3, 1)]), "nothing": ((4, 2), [(2, 2, 1), (0, 2, 1)]),
        "uneven_step": ((2, 6), [(0, 2, 1), (0, 5, 3)]),
    }
    for label, (shape, parts) in slices.items():
        index = tuple(slice(*p) for p in parts)
        bounds = {"start": [p[0] for p in parts], "stop": [p[1] for p in parts], "step": [p[2] for p in parts]}
        cases.add(f"slice/{label}", lambda x: x[index], signed(*shape), **bounds)
    clipped = {"negative": (slice(-3, -1), slice(None)), "outside": (slice(2, 99), slice(-99, 2)),
               "crossed": (slice(3, 1), slice(None))}
    for label, index in clipped.items():
        cases.add(f"slice/{label}", lambda x: x[index], signed(5, 3), bounds=str(index))
    cases.add("slice/overlapping", lambda x: x[0:3] * x[1:4], signed(4))

    shapes = {
        "axis0": (0, [(2, 3), (1, 3), (3, 3)]), "axis1": (1, [(2, 1), (2, 3)]), "last": (-1, [(2, 2, 1), (2, 2, 2)]),
        "one": (0, [(2, 3)]), "with_empty": (0, [(0, 2), (2, 2), (0, 2)]), "middle": (1, [(2, 1, 3), (2, 2, 3)]),
    }
    for label, (axis, parts) in shapes.items():
        cases.add(f"concat/{label}", lambda *x: torch.cat(x, axis), *[signed(*s) for s in parts], axis=axis)
    cases.add("concat/repeated", lambda x: torch.cat([x, x, x * x], 1), signed(2, 2), axis=1)
    for axis in (0, 1, 2, -1):
        cases.add(f"stack/axis{axis}", lambda *x: torch.stack(x, axis), signed(2, 3), signed(2, 3), axis=axis)
    cases.add("stack/scalars", lambda *x: torch.stack(x), signed(), signed(), signed(), axis=0)
    cases.add("stack/repeated", lambda x: torch.stack([x, x * x], 0), signed(2), axis=0)


def pad(cases):
    def torch_order(low, high):
        return [n for pair in reversed(list(zip(low, high))) for n in pair]

    constant = {"vector": ((3,), (2,), (1,), 0.0), "matrix": ((2, 3), (1, 0), (0, 2), 0.0),
                "value": ((2, 3), (1, 1), (1, 1), -1.5), "image": ((1, 2, 2, 2), (0, 1, 1, 0), (0, 1, 1, 0), 0.0),
                "none": ((2, 2), (0, 0), (0, 0), 0.0), "empty": ((0, 2), (1, 0), (1, 1), 3.0)}
    for label, (shape, low, high, value) in constant.items():
        cases.add(f"pad/{label}", lambda x: F.pad(x, torch_order(low, high), value=value), signed(*shape),
                  low=low, high=high, value=value)
    cases.add("pad/second_order", squared(lambda x: F.pad(x, [1, 2], value=0.5)), signed(3),
              low=[1], high=[2], value=0.5)

    def spread(x, low, high, interior, value):
        out = x.new_full([l + h + n + (n - 1) * i for l, h, n, i in zip(low, high, x.shape, interior)], value)
        index = tuple(slice(l, l + n + (n - 1) * i, i + 1) for l, n, i in zip(low, x.shape, interior))
        return out.index_put([t for t in torch.meshgrid(*[torch.arange(s.start, s.stop, s.step) for s in index],
                                                        indexing="ij")], x)
    cases.add("pad/interior", lambda x: spread(x, (1,), (0,), (2,), -1.0), signed(4), low=[1], high=[0], interior=[2],
              value=-1)
    cases.add("pad/interior_matrix", squared(lambda x: spread(x, (0, 1), (1, 0), (1, 2), 0.0)), signed(3, 2),
              low=[0, 1], high=[1, 0], interior=[1, 2])

    def reflect(x, low, high):
        # PyTorch's reflect takes only some ranks; NumPy's says which element each place shows.
        positions = np.pad(np.arange(x.numel()).reshape(x.shape), list(zip(low, high)), mode="reflect")
        return x.reshape(-1)[torch.from_numpy(positions)]

    mirrors = {"vector": ((4,), (2,), (3,)), "matrix": ((3, 4), (1, 2), (2, 0)),
               "image": ((1, 3, 3, 2), (0, 1, 2, 0), (0, 1, 1, 0)), "none": ((2, 3), (0, 0), (0, 0))}
    for label, (shape, low, high) in mirrors.items():
        cases.add(f"pad_reflect/{label}", lambda x: reflect(x, low, high), signed(*shape), low=low, high=high)
    cases.add("pad_reflect/second_order", squared(lambda x: reflect(x, (2,), (1,))), signed(3), low=[2], high=[1])


def index(cases):
    for label, shape, indices, axis in [
        ("rows", (4, 3), [2, 0, 2, 3], 0), ("columns", (2, 4), [3, 3, 1], 1), ("last", (2, 2, 3), [1, 0], -1),
        ("middle", (2, 3, 2), [2, 2, 0], 1), ("grid", (5,), [[0, 4], [4, 1]], 0),
        ("grid_columns", (2, 3), [[0, 1], [2, 2]], 1), ("one", (3, 2), [1], 0),
        ("scalar_index", (3, 2), 1, 0), ("no_indices", (3, 2), [], 0),
    ]:
        cases.add(f"take/{label}", lambda x, i: take(x, i, axis), signed(*shape), i64(indices), axis=axis)
    cases.add("take/second_order", lambda x, i: take(x, i, 0) * take(x, i, 0), signed(4), i64([1, 1, 3]), axis=0)

    for label, shape, indices, axis in [
        ("rows", (4, 3), [2, 0, 2, 3], 0), ("columns", (2, 4), [3, 3, 1], 1), ("middle", (2, 3, 2), [2, 2, 0], 1),
        ("grid", (5,), [[0, 4], [4, 1]], 0), ("no_indices", (3, 2), [], 0), ("one", (3, 2), [1], 0),
    ]:
        indices = i64(indices)
        updates = shape[:axis] + indices.shape + shape[axis + 1:]
        cases.add(f"scatter_add/{label}", lambda x, i, u: scatter_add(x, i, u, axis), signed(*shape), indices,
                  signed(*updates), axis=axis)
    cases.add("scatter_add/second_order", lambda x, i, u: scatter_add(x, i, u, 0) ** 2, signed(4), i64([1, 1, 3]),
              signed(3), axis=0)

    labels = [("vector", (5,), 4), ("matrix", (2, 3), 3), ("one_class", (3,), 1), ("empty", (0,), 3)]
    for label, shape, classes in labels:
        cases.add(f"one_hot/{label}", lambda i: F.one_hot(i, classes).double(), integers(0, classes, *shape), order=0,
                  classes=classes)
    cases.add("one_hot/scalar", lambda i: F.one_hot(i, 3).double(), i64(2), order=0, classes=3)
    cases.add("one_hot/outside", lambda i: (i.unsqueeze(-1) == torch.arange(3)).double(), i64([-1, 0, 3, 2]), order=0,
              classes=3, note="all 0 there")
    cases.add("iota/floats", lambda: torch.arange(5, dtype=torch.float64), order=0, shape=[5])
    cases.add("iota/integers", lambda: torch.arange(4), order=0, shape=[4])
    cases.add("iota/empty", lambda: torch.arange(0), order=0, shape=[0])
    cases.add("iota/rows", lambda: torch.arange(2).unsqueeze(1).expand(2, 3), order=0, shape=[2, 3], axis=0)
    cases.add("iota/columns", lambda: torch.arange(3).expand(2, 3), order=0, shape=[2, 3], axis=1)


def other_types(cases):
    cases.add("permute/integers", lambda x: x.permute(1, 0), integers(-9, 9, 2, 3), order=0, order_=(1, 0))
    cases.add("reshape/booleans", lambda x: x.reshape(6), booleans(2, 3), order=0, shape=(6,))
    cases.add("concat/integers", lambda a, b: torch.cat([a, b]), integers(-9, 9, 2), integers(-9, 9, 3), order=0,
              axis=0)
    cases.add("take/integers", lambda x, i: take(x, i, 0), integers(-9, 9, 4), i64([3, 0]), order=0, axis=0)
    cases.add("slice/integers", lambda x: x[1:4:2], integers(-9, 9, 5), order=0, start=[1], stop=[4], step=[2])


def family():
    cases = Family("shape")
    for part in (rearrange, cut, pad, index, other_types):
        part(cases)
    return cases
