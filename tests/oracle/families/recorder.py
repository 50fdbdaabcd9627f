"""Records cases: runs a PyTorch function, differentiates it once or twice, keeps everything as NumPy arrays."""

import json
import zlib

import numpy as np
import torch
from safetensors.numpy import save


# --- inputs: an array is taken as it is, a function is given the case's own random generator ---

def signed(*shape, low=0.1, high=2.0):
    """Random magnitudes in [low, high) with random signs: away from the kinks at 0."""
    return lambda rng: rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


def uniform(low, high, *shape):
    return lambda rng: rng.uniform(low, high, shape)


def integers(low, high, *shape):
    return lambda rng: rng.integers(low, high, shape, dtype=np.int64)


def booleans(*shape):
    return lambda rng: rng.integers(0, 2, shape).astype(bool)


def f64(values):
    return np.array(values, dtype=np.float64)


def i64(values):
    return np.array(values, dtype=np.int64)


class Family:
    def __init__(self, name):
        self.name = name
        self.tensors = {}
        self.metadata = {}

    def put(self, name, array):
        assert name not in self.tensors, f"{name} twice"
        self.tensors[name] = np.array(array, order="C")

    def describe(self, name, attributes):
        assert name not in self.metadata, f"{name} twice"
        self.metadata[name] = json.dumps(attributes, sort_keys=True)

    def add(self, name, function, *inputs, order=2, wrt=None, finite=True, **attributes):
        """One case. `order` is the highest derivative recorded, `wrt` the inputs differentiated (default: all f64).

        Second order is left out where the gradient is a constant of all inputs, as it is for linear ops.
        """
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        arrays = [np.asarray(x(rng) if callable(x) else x) for x in inputs]
        if wrt is None:
            wrt = [i for i, a in enumerate(arrays) if a.dtype == np.float64]
        values = [torch.from_numpy(a.copy()) for a in arrays]
        out = function(*values) if order == 0 else None
        if order > 0:
            for i in wrt:
                values[i].requires_grad_()
            out = function(*values)
        self.describe(name, attributes)
        for i, a in enumerate(arrays):
            self.put(f"{name}/in{i}", a)
        self.put(f"{name}/out", out.numpy(force=True))
        if order == 0:
            return
        assert out.dtype in (torch.float64, torch.float32), name
        cotangent = torch.from_numpy(np.asarray(signed(*out.shape)(rng))).to(out.dtype)
        self.put(f"{name}/cotangent", cotangent.numpy())
        chosen = [values[i] for i in wrt]
        gradients = _gradient((out * cotangent).sum(), chosen)
        for i, g in zip(wrt, gradients):
            if finite:
                assert torch.isfinite(g).all(), f"{name}: gradient {i} is not finite"
            self.put(f"{name}/grad{i}", g.numpy(force=True))
        if order == 1 or not any(g.requires_grad for g in gradients):
            return
        directions = [torch.from_numpy(np.asarray(signed(*g.shape)(rng))) for g in gradients]
        for i, v in zip(wrt, directions):
            self.put(f"{name}/direction{i}", v.numpy())
        projected = sum((g * v).sum() for g, v in zip(gradients, directions))
        for i, g in zip(wrt, _gradient(projected, chosen)):
            assert torch.isfinite(g).all(), f"{name}: second gradient {i} is not finite"
            self.put(f"{name}/grad2_{i}", g.numpy(force=True))

    def save(self, folder):
        path = folder / f"{self.name}.safetensors"
        path.write_bytes(_with_sorted_metadata(save(self.tensors, self.metadata)))
        print(f"{path.name}: {len(self.metadata)} cases, {path.stat().st_size} bytes")


def _with_sorted_metadata(file):
    """The library writes metadata in random order; the same vectors should be the same bytes."""
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8:8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    encoded = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    assert len(encoded) == size
    return file[:8] + encoded + file[8 + size:]


def _gradient(y, inputs):
    """Gradients with zeros for inputs that y does not depend on."""
    if not y.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(y, inputs, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found)]
