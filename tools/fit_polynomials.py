#!/usr/bin/env python3
"""Fits the polynomials of ops/kernels/math-inl.hpp and prints their coefficients, lowest degree first.

Each interpolates at Chebyshev nodes, which is within a small factor of the best possible; the error that is
printed is relative to the function being approximated, before rounding. Needs mpmath.
"""
from mpmath import mp, mpf, cos, erf, erfc, expm1, log, log1p, pi, sin, sqrt, tanh

mp.dps = 60
ZERO = mpf(10) ** -20  # instead of 0, where the quotients below are limits


def fit(f, low, high, count):
    low, high = mpf(low), mpf(high)
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    rows = mp.matrix(count, count)
    for i, x in enumerate(nodes):
        for j in range(count):
            rows[i, j] = x**j
    return mp.lu_solve(rows, mp.matrix([f(x) for x in nodes]))


def report(name, digits, f, low, high, count, whole, approximate):
    """`whole(x)` is the function, `approximate(x, p)` what is made of the polynomial's value p."""
    c = fit(f, low, high, count)
    value = lambda x: sum(c[j] * x**j for j in range(count))
    points = [mpf(low) + (mpf(high) - mpf(low)) * k / 400 for k in range(1, 400) if 2 * k != 400 or low != -high]
    error = max(abs(approximate(x, value(x)) / whole(x) - 1) for x in points)
    print(f"{name}: error {mp.nstr(error, 2)}")
    print("  " + ", ".join(mp.nstr(c[j], digits) for j in range(count)))


HALF_LN2 = log(2) / 2 + mpf("0.001")
LOG_Z = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2 * mpf("1.01")
QUARTER_PI = pi / 4 * mpf("1.001")


def shifted(x):  # away from 0
    return x if abs(x) > ZERO else ZERO


# expm1(r) = r + r^2 p(r)
def exp_rest(r):
    r = shifted(r)
    return (expm1(r) - r) / r**2


# log(1 + f) = 2 s + s z p(z) with s = f / (2 + f), z = s^2
def log_rest(z):
    s = sqrt(shifted(z))
    return (log((1 + s) / (1 - s)) - 2 * s) / (s * s * s)


def log_whole(z):
    s = sqrt(z)
    return log((1 + s) / (1 - s))


# With z = r^2: sin(r) = r + r z p(z), cos(r) = 1 - z / 2 + z^2 p(z), tanh(r) = r + r z p(z), erf(r) = r + r p(z).
def root(f):
    return lambda z: f(sqrt(shifted(z)))


for bits, digits, exp_count, log_count in ((32, 9, 6, 4), (64, 18, 11, 7)):
    report(f"exp f{bits}", digits, exp_rest, -HALF_LN2, HALF_LN2, exp_count, expm1, lambda r, p: r + r * r * p)
    report(f"log f{bits}", digits, log_rest, 0, LOG_Z, log_count, log_whole,
           lambda z, p: 2 * sqrt(z) + sqrt(z) * z * p)
report("sin f64", 18, root(lambda r: (sin(r) - r) / r**3), 0, QUARTER_PI**2, 6, root(sin),
       lambda z, p: sqrt(z) * (1 + z * p))
report("cos f64", 18, root(lambda r: (cos(r) - 1 + r * r / 2) / r**4), 0, QUARTER_PI**2, 6, root(cos),
       lambda z, p: 1 - z / 2 + z * z * p)
report("tanh f32, to 0.625", 9, root(lambda r: (tanh(r) - r) / r**3), 0, mpf("0.625") ** 2, 5, root(tanh),
       lambda z, p: sqrt(z) * (1 + z * p))
report("erf f32, to 1", 9, root(lambda r: (erf(r) - r) / r), 0, 1, 7, root(erf), lambda z, p: sqrt(z) * (1 + p))
# erf(x) = 1 - exp(p(x - 1))
report("erf f32, 1 to 4", 9, lambda t: log(erfc(1 + t)), 0, 3, 9, lambda t: erf(1 + t), lambda t, p: 1 - mp.exp(p))
