"""Pointwise functions, arithmetic with broadcasting, comparisons, logic, where, cast."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from .recorder import Family, booleans, f64, i64, integers, signed, uniform

inf, nan = math.inf, math.nan

# Everything that broadcasting can do to two operands.
PAIRS = {
    "equal_shapes": ((2, 3), (2, 3)),
    "column_row": ((3, 1), (1, 4)),
    "scalar_matrix": ((), (2, 3)),
    "matrix_scalar": ((2, 3), ()),
    "vector_block": ((4,), (2, 3, 4)),
    "block_vector": ((2, 3, 4), (4,)),
    "middle": ((2, 1, 4), (3, 1)),
    "ones": ((1, 1), (2, 3)),
    "size_one": ((1,), (1,)),
    "scalars": ((), ()),
    "empty": ((0, 3), (3,)),
    "empty_by_one": ((2, 1), (2, 0)),
}


def softplus(x):
    # PyTorch's default threshold of 20 is off by 2e-9 there.
    return F.softplus(x, threshold=100)


def maximum(a, b):
    # A tie's gradient goes to the first operand; torch.maximum halves it.
    return torch.where(a >= b, a, b)


def minimum(a, b):
    return torch.where(a <= b, a, b)


UNARY = {
    # name: function, lower and upper end of the domain (None: signed, away from 0)
    "neg": (torch.neg, None),
    "abs": (torch.abs, None),
    "sign": (torch.sign, None),
    "square": (torch.square, None),
    "sqrt": (torch.sqrt, (0.1, 4)),
    "rsqrt": (torch.rsqrt, (0.1, 4)),
    "exp": (torch.exp, None),
    "expm1": (torch.expm1, None),
    "log": (torch.log, (0.1, 4)),
    "log1p": (torch.log1p, (-0.9, 4)),
    "sin": (torch.sin, (-7, 7)),
    "cos": (torch.cos, (-7, 7)),
    "tanh": (torch.tanh, None),
    "sigmoid": (torch.sigmoid, None),
    "relu": (torch.relu, None),
    "gelu": (F.gelu, None),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), None),
    "silu": (F.silu, None),
    "softplus": (softplus, None),
    "erf": (torch.erf, None),
}


def unary(cases):
    for name, (function, domain) in UNARY.items():
        for label, shape in {"matrix": (3, 4), "vector": (17,), "scalar": (), "empty": (0, 3)}.items():
            x = uniform(*domain, *shape) if domain else signed(*shape)
            cases.add(f"{name}/{label}", function, x)

    for slope in (0.01, 0.2):
        cases.add(f"leaky_relu/slope_{slope}", lambda x: F.leaky_relu(x, slope), signed(3, 4), slope=slope)
    for alpha in (1.0, 0.7):
        cases.add(f"elu/alpha_{alpha}", lambda x: F.elu(x, alpha), signed(3, 4), alpha=alpha)
    cases.add("clamp/both", lambda x: x.clamp(-0.7, 1.1), signed(4, 5), lo=-0.7, hi=1.1)


def unary_edges(cases):
    cases.add("abs/zero", torch.abs, f64([0.0, -0.0, 1, -1]), order=1, note="gradient at 0 is 0")
    cases.add("sign/zero", torch.sign, f64([0.0, -0.0, 1e-300, -1e300, inf, -inf]), order=1)
    cases.add("relu/zero", torch.relu, f64([0.0, -0.0, 1e-300, -1e-300]), order=1, note="gradient at 0 is 0")
    cases.add("relu/nan", torch.relu, f64([nan, 1, -1, inf, -inf]), order=0)
    cases.add("leaky_relu/large", lambda x: F.leaky_relu(x, 0.1), f64([1e300, -1e300]), order=1, slope=0.1)
    cases.add("sqrt/zero", torch.sqrt, f64([0, 1e-300, 1e300, inf]), order=0)
    cases.add("sqrt/negative", torch.sqrt, f64([-1, nan, 4]), order=0)
    cases.add("rsqrt/extremes", torch.rsqrt, f64([0, 1e-300, 1e300, inf, -1]), order=0)
    cases.add("rsqrt/tiny", torch.rsqrt, f64([1e-10, 1e-6, 1e6]), relative=True)
    cases.add("exp/extremes", torch.exp, f64([0, 700, 709.7, 710, -700, -746, inf, -inf, nan]), order=0)
    cases.add("expm1/tiny", torch.expm1, f64([1e-16, -1e-10, 1e-5, -0.3]), relative=True)
    cases.add("expm1/extremes", torch.expm1, f64([0, 700, 710, -50, -800, -inf]), order=0)
    cases.add("log/extremes", torch.log, f64([0, 1e-300, 1e300, inf, -1, nan]), order=0)
    cases.add("log/near_one", torch.log, f64([1 + 1e-10, 1 - 1e-7, 1.0]), relative=True)
    cases.add("log1p/tiny", torch.log1p, f64([1e-16, -1e-10, 1e-5, -0.3]), relative=True)
    cases.add("log1p/extremes", torch.log1p, f64([0, -1, -2, 1e300, inf]), order=0)
    cases.add("sin/large", torch.sin, f64([1e3, -1e5, 1e-8, 0]))
    cases.add("cos/large", torch.cos, f64([1e3, -1e5, 1e-8, 0]))
    tails = f64([-1000, -40, -20, -10, -6, -3, 0, 3, 6, 10, 20, 40, 1000])
    for name in ("tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "softplus", "erf"):
        cases.add(f"{name}/tails", UNARY[name][0], tails)
    cases.add("erf/tiny", torch.erf, f64([1e-300, -1e-10, 1e-5, 0.1, 0.4, 0.5, 1]), relative=True)
    cases.add("erf/sweep", torch.erf, np.linspace(-6.5, 6.5, 53), relative=True)
    cases.add("tanh/tiny", torch.tanh, f64([1e-300, -1e-10, 1e-5, 0.1]), relative=True)
    cases.add("sigmoid/negative", torch.sigmoid, f64([-30, -100, -700, -745]), order=1, relative=True)
    cases.add("softplus/negative", softplus, f64([-30, -100, -700]), order=1, relative=True)
    # Where an unselected exponential overflows, the gradient must not become NaN.
    cases.add("elu/large", lambda x: F.elu(x, 0.7), f64([1000, -1000, 710, -40]), alpha=0.7)
    cases.add("clamp/ends", lambda x: x.clamp(-1, 1), f64([-1, 1, 0]), order=1, lo=-1, hi=1, note="1 at the ends")
    cases.add("clamp/nan", lambda x: x.clamp(-1, 1), f64([nan, inf, -inf, 0.5]), order=0, lo=-1, hi=1)


def arithmetic(cases):
    binary = {
        "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
        "maximum": maximum, "minimum": minimum, "pow": torch.pow,
    }
    for name, function in binary.items():
        for label, (left, right) in PAIRS.items():
            x = uniform(0.2, 2, *left) if name == "pow" else signed(*left)
            y = signed(*right, low=0.5) if name == "div" else signed(*right)
            cases.add(f"{name}/{label}", function, x, y)
    for name in ("add", "sub", "mul", "div", "maximum"):
        cases.add(f"{name}/repeated", lambda x: binary[name](x, x), signed(2, 3), order=2)
    cases.add("pow/repeated", lambda x: torch.pow(x, x), uniform(0.2, 2, 2, 3))
    cases.add("mul/cube", lambda x: x * x * x, signed(2, 3))
    cases.add("mul/repeated_broadcast", lambda x: x.reshape(3, 1) * x.reshape(1, 3), signed(3))
    cases.add("maximum/ties", maximum, f64([1, 2, 3, 0]), f64([1, 5, 2, 0]), order=1, note="to the first operand")
    cases.add("minimum/ties", minimum, f64([1, 2, 3, 0]), f64([1, 5, 2, 0]), order=1, note="to the first operand")
    left, right = f64([nan, 1, nan, inf, -inf]), f64([1, nan, nan, 2, -1])
    cases.add("maximum/nan", torch.maximum, left, right, order=0)
    cases.add("minimum/nan", torch.minimum, left, right, order=0)
    cases.add("div/zero", torch.div, f64([1, -1, 0, inf, 1]), f64([0, 0, 0, inf, inf]), order=0)
    cases.add("add/infinities", torch.add, f64([inf, inf, nan, 1e308]), f64([1, -inf, 1, 1e308]), order=0)
    cases.add("mul/infinities", torch.mul, f64([inf, inf, nan, 1e200]), f64([0, -inf, 0, 1e200]), order=0)
    for label, (a, b) in {"column_row": ((3, 1), (1, 4)), "equal_shapes": ((2, 3), (2, 3))}.items():
        cases.add(f"mul_no_nan/{label}", torch.mul, signed(*a), signed(*b))
    cases.add("mul_no_nan/zeros", lambda a, b: torch.where(a == 0, torch.zeros_like(a), a * b),
              f64([0, -0.0, 0, 1, 2, nan]), f64([inf, -inf, nan, inf, nan, 0]), order=0)
    for name in ("add", "sub", "mul", "maximum", "minimum"):
        function = getattr(torch, name)
        cases.add(f"{name}/integers", function, integers(-9, 9, 2, 3), integers(-9, 9, 3), order=0)


def powers(cases):
    for exponent in (2, 3, -1, -2, 0, 1, 4):
        cases.add(f"pow/negative_base_exponent_{exponent}", lambda x: torch.pow(x, float(exponent)),
                  signed(2, 3), exponent=exponent)
    for exponent in (0.5, -0.5, 2.5, 1 / 3):
        cases.add(f"pow/exponent_{exponent:.3g}", lambda x: torch.pow(x, exponent), uniform(0.2, 3, 2, 3),
                  exponent=exponent)
    for exponent in (0, 1, 2, 3):
        cases.add(f"pow/zero_base_exponent_{exponent}", lambda x: torch.pow(x, float(exponent)), f64([0, 0.5, -0.5]),
                  order=1, exponent=exponent)
    cases.add("pow/negative_base_integer_exponents", torch.pow, f64([-2, -1.5, -0.5, -3]), f64([3, -2, 0, 1]), order=1,
              wrt=[0], note="the exponent's gradient is undefined here")
    cases.add("pow/zero_base", torch.pow, f64([0, 0, 0]), f64([2, 1, 3]), order=1,
              note="the exponent's gradient is the limit, 0")
    cases.add("pow/extremes", torch.pow, f64([0, 0, inf, 2, -8, 1, nan]), f64([0, -1, -1, 2000, 1 / 3, nan, 0]),
              order=0)


def compare(cases):
    names = {"equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
             "greater_equal": torch.ge}
    for name, function in names.items():
        cases.add(f"{name}/ordered", function, f64([1, 2, 3, 0.0, inf]), f64([2, 2, 2, -0.0, inf]), order=0)
        cases.add(f"{name}/nan", function, f64([nan, 1, nan]), f64([1, nan, nan]), order=0)
        cases.add(f"{name}/column_row", function, f64([[1], [2], [3]]), f64([[1, 2, 3, 4]]), order=0)
        cases.add(f"{name}/integers", function, i64([1, 2, 3]), i64([[2], [3]]), order=0)
        cases.add(f"{name}/empty", function, signed(0, 3), signed(3), order=0)
    for name in ("and", "or"):
        function = getattr(torch, f"logical_{name}")
        cases.add(f"logical_{name}/table", function, np.array([[False], [True]]), np.array([False, True]), order=0)
        cases.add(f"logical_{name}/block_vector", function, booleans(2, 3, 4), booleans(4), order=0)
    cases.add("logical_not/table", torch.logical_not, np.array([False, True]), order=0)
    cases.add("logical_not/empty", torch.logical_not, np.zeros((0, 2), bool), order=0)


def select(cases):
    shapes = {"equal_shapes": ((2, 3), (2, 3), (2, 3)), "scalar_condition": ((), (2, 3), (2, 3)),
              "scalar_branches": ((2, 3), (), ()), "all_ways": ((2, 1, 1), (3, 1), (4,)), "empty": ((0, 3), (3,), ())}
    for label, (c, a, b) in shapes.items():
        cases.add(f"where/{label}", torch.where, booleans(*c), signed(*a), signed(*b))
    cases.add("where/repeated", lambda c, x: torch.where(c, x, x), np.array([True, False]), signed(2))
    cases.add("where/smooth", lambda x: torch.where(x > 0, x * x, torch.exp(x)), signed(2, 3))
    cases.add("where/unselected_nan", torch.where, np.array([True, False, True, False]), f64([1, nan, 3, inf]),
              f64([nan, 2, -inf, 4]), order=1, note="neither value nor gradient sees the unselected branch")
    cases.add("where/integers", torch.where, np.array([True, False, True]), i64([1, 2, 3]), i64([-1, -2, -3]), order=0)

    # The definition of a function outside its domain: neither its value nor its derivative counts there. PyTorch's
    # where would give NaN gradients, so the argument is replaced before.
    def guarded(function, x):
        return torch.where(x > 0, function(torch.where(x > 0, x, torch.ones_like(x))), 0.5 * x)
    edge = f64([2, 0, -1, -0.0, 0.3])
    for name in ("log", "sqrt", "rsqrt"):
        cases.add(f"where/safe_{name}", lambda x: guarded(getattr(torch, name), x), edge)
    cases.add("where/safe_div", lambda x: guarded(torch.reciprocal, x), edge)
    cases.add("where/safe_pow", lambda x: guarded(lambda t: t ** 1.5, x), edge)

    cases.add("floor/signs", torch.floor, f64([1.5, -1.5, 0.0, -0.5, 2, 1e300, inf, nan]), order=0)
    cases.add("is_finite/table", torch.isfinite, f64([1, 0, inf, -inf, nan, 1e308]), order=0)
    cases.add("stop_gradient/product", lambda x: x.detach() * x, signed(2, 3))

    cases.add("cast/f64_to_i64", lambda x: x.long(), f64([1.9, -1.9, 0.5, -0.0, 1e15]), order=0)
    cases.add("cast/f64_to_f32", lambda x: x.float(), f64([0.1, 1 + 2**-30, 1e300, 1e-300, nan]), order=0)
    cases.add("cast/f64_to_bool", lambda x: x.bool(), f64([0.0, -0.0, 0.1, nan, inf]), order=0)
    cases.add("cast/i64_to_f64", lambda x: x.double(), i64([1, -2, 2**53 + 1]), order=0)
    cases.add("cast/bool_to_f64", lambda x: x.double(), np.array([True, False]), order=0)
    # Casts that must not be lost where both ends of a computation are fused.
    cases.add("cast/through_i64", lambda x: x.long().double() * x, signed(2, 3, high=5))
    cases.add("cast/through_bool", lambda x: x.bool().double() + x, f64([0, 0.25, -3, nan]), order=0)
    cases.add("cast/through_f32", lambda x: x.float().double() * x, signed(2, 3), note="rounds to f32 both ways")


def family():
    cases = Family("pointwise")
    for part in (unary, unary_edges, arithmetic, powers, compare, select):
        part(cases)
    return cases
