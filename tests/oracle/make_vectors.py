#!/usr/bin/env python3
"""Makes vectors/*.safetensors: f64 values and gradients that the tests in tests/ops and tests/optim must reproduce.

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy safetensors && venv/bin/python make_vectors.py

The files are kept in the repository, so neither the library nor its tests need Python. One file a family. A case is
NAME = "op/case", and the tensors of a case are

    NAME/in0 ..         inputs: f64, i64 (indices, labels) or bool
    NAME/out            the value
    NAME/cotangent      random and signed; present if gradients are
    NAME/grad0 ..       the gradient of sum(out * cotangent) with respect to in0 ..; absent if none is checked
    NAME/direction0 ..  random v_i, one for each gradient; present if second order is checked
    NAME/grad2_0 ..     the gradient of sum_i sum(grad_i * v_i) with respect to in0 ..

The metadata maps NAME to a JSON object with the attributes of the call (axis, keep_dims, eps, ...) and remarks.
layers.safetensors, nets.safetensors and optim.safetensors have layouts of their own; see families/layers.py and so on.

Conventions at kinks are Tapestry's own, so some references are written out rather than taken from the PyTorch function
of the same name; each such place says so. The random data of a case depend on its name alone: adding a case leaves
all others as they are.
"""

import argparse
import pathlib
import warnings

import torch

from families import (attention, compose, conv, layers, loss, matmul, nets, norm, optim, pointwise, pool, reduce,
                      resize, shape, softmax)


def main():
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=here / "vectors")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "(var|std).*degrees of freedom")  # of outputs without elements
    for module in (pointwise, reduce, shape, matmul, conv, pool, resize, norm, softmax, attention, loss, compose, layers,
                   nets, optim):
        module.family().save(folder)


if __name__ == "__main__":
    main()
