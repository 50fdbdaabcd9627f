"""matmul (2-D, batched, broadcast batches, transposed operands) and linear."""

import torch

from .recorder import Family, signed


def product(transpose_a, transpose_b):
    def multiply(a, b):
        return (a.mT if transpose_a else a) @ (b.mT if transpose_b else b)
    return multiply


def stored(shape, transposed):
    return shape[:-2] + (shape[-1], shape[-2]) if transposed else shape


def family():
    cases = Family("matmul")
    flags = {"nn": (False, False), "tn": (True, False), "nt": (False, True), "tt": (True, True)}
    shapes = {
        "plain": ((2, 3), (3, 4)),
        "batch": ((5, 2, 3), (5, 3, 4)),
        "batch_left": ((5, 2, 3), (3, 4)),
        "batch_right": ((2, 3), (5, 3, 4)),
        "batch_both": ((4, 1, 2, 3), (3, 3, 2)),
        "batch_of_one": ((1, 2, 3), (4, 3, 2)),
    }
    for label, (a, b) in shapes.items():
        for flag, (ta, tb) in flags.items():
            cases.add(f"matmul/{label}_{flag}", product(ta, tb), signed(*stored(a, ta)), signed(*stored(b, tb)),
                      transpose_a=ta, transpose_b=tb)
    edges = {"dot": ((1, 5), (5, 1)), "outer": ((4, 1), (1, 3)), "one": ((1, 1), (1, 1)), "row": ((1, 3), (3, 4)),
             "column": ((4, 3), (3, 1)), "no_rows": ((0, 3), (3, 2)), "no_columns": ((2, 3), (3, 0)),
             "no_inner": ((2, 0), (0, 3)), "no_batch": ((0, 2, 3), (3, 2)), "odd": ((33, 17), (17, 29))}
    for label, (a, b) in edges.items():
        cases.add(f"matmul/{label}", torch.matmul, signed(*a), signed(*b))
    vectors = {"vector_vector": ((5,), (5,)), "vector_matrix": ((3,), (3, 4)), "matrix_vector": ((2, 3), (3,)),
               "vector_batch": ((3,), (2, 3, 4)), "batch_vector": ((2, 4, 3), (3,))}
    for label, (a, b) in vectors.items():
        cases.add(f"matmul/{label}", torch.matmul, signed(*a), signed(*b))
    cases.add("matmul/repeated", lambda x: x @ x, signed(3, 3))
    cases.add("matmul/gram_nt", lambda x: x @ x.mT, signed(2, 3), transpose_b=True)
    cases.add("matmul/gram_tn", lambda x: x.mT @ x, signed(2, 3), transpose_a=True)
    cases.add("matmul/chain", lambda a, b, c: a @ b @ c, signed(2, 3), signed(3, 4), signed(4, 2))

    def linear(x, w, b):
        return x @ w + b
    for label, x in {"matrix": (3, 4), "batch_of_one": (1, 4), "sequence": (2, 3, 4), "empty": (0, 4)}.items():
        cases.add(f"linear/{label}", linear, signed(*x), signed(4, 2), signed(2), note="w is [in, out]")
    cases.add("linear/one_feature", linear, signed(3, 1), signed(1, 1), signed(1))
    cases.add("linear/without_bias", torch.matmul, signed(3, 4), signed(4, 2))
    return cases
