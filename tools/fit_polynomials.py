#!/usr/bin/env python3
"""Fits the polynomials of ops/kernels/math-inl.hpp and prints their coefficients, lowest degree first.

Each interpolates at Chebyshev nodes, which is within a small factor of the best possible; the error that is
printed is relative to the function being approximated, before rounding. Needs mpmath.
"""
import struct

from mpmath import mp, mpf, cos, erf, exp, expm1, log, log1p, pi, sin, sqrt, tanh

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
    report(f"expm1 f{bits}", digits, exp_rest, -HALF_LN2, HALF_LN2, exp_count, expm1, lambda r, p: r + r * r * p)
    report(f"log f{bits}", digits, log_rest, 0, LOG_Z, log_count, log_whole,
           lambda z, p: 2 * sqrt(z) + sqrt(z) * z * p)
# exp f32, not its difference from 1: 2^(k / 16) (1 + r + r^2 (c + r / 6)) with |r| <= ln 2 / 32. c isn't fitted to e^r
# alone: with 1/2 the rounded powers are off by so much that results are by 1.06 ulp, with 0.500020 to 0.500028, tried
# over the floats, by 0.96.
print("exp f32, powers:", ", ".join(f"{float(mpf(2) ** (mpf(k) / 16)):.9g}" for k in range(16)))
report("sin f64", 18, root(lambda r: (sin(r) - r) / r**3), 0, QUARTER_PI**2, 6, root(sin),
       lambda z, p: sqrt(z) * (1 + z * p))
report("cos f64", 18, root(lambda r: (cos(r) - 1 + r * r / 2) / r**4), 0, QUARTER_PI**2, 6, root(cos),
       lambda z, p: 1 - z / 2 + z * z * p)
report("tanh f32, to 0.625", 9, root(lambda r: (tanh(r) - r) / r**3), 0, mpf("0.625") ** 2, 5, root(tanh),
       lambda z, p: sqrt(z) * (1 + z * p))

# erf f32 from 0 to 31/8: a polynomial of degree 5 in t for each k, x = k / 4 + t with |t| <= 1/8. Each
# coefficient is rounded before the next ones are fitted, with weights by which the largest error, in units of the
# result's last place, becomes as small as possible (C. L. Lawson, 1961). The first polynomial is odd and for
# erf(x) - x, so that small results are as accurate as large ones; the last one rises to 1.
WIDTH = mpf(1) / 4


def to_f32(x):
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def ulp(y):
    return mpf(2) ** (int(mp.floor(log(y, 2))) - 23)


def minimax(ts, targets, weights, first, count):
    """c for which the largest weight |target - (c[0] t^first + c[1] t^(first + 1) + ...)| is small."""
    best, emphasis = None, [mpf(1)] * len(ts)
    for _ in range(40):
        a, b = mp.matrix(count, count), mp.matrix(count, 1)
        for t, y, w, e in zip(ts, targets, weights, emphasis):
            for i in range(count):
                b[i] += e * w * w * t ** (first + i) * y
                for j in range(count):
                    a[i, j] += e * w * w * t ** (2 * first + i + j)
        c = mp.lu_solve(a, b)
        errors = [abs(w * (y - sum(c[j] * t ** (first + j) for j in range(count))))
                  for t, y, w in zip(ts, targets, weights)]
        if best is None or max(errors) < best[0]:
            best = max(errors), c
        scale = len(ts) / sum(e * x for e, x in zip(emphasis, errors))
        emphasis = [e * x * scale + mpf(10) ** -12 for e, x in zip(emphasis, errors)]
    return best[1]


def rounded_one_by_one(ts, targets, weights, c, count):
    """c goes on to `count` coefficients."""
    while len(c) < count:
        rest = [y - sum(c[j] * t**j for j in range(len(c))) for t, y in zip(ts, targets)]
        c.append(to_f32(minimax(ts, rest, weights, len(c), count - len(c))[0]))
    return c


def chebyshev(low, high, n=80):
    return [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * i + 1) / (2 * n)) for i in range(n)]


def put_polynomial(rows, k, ts, ys, weights, at_0):
    """Of degree 5, its coefficients rounded, as column k."""
    for j, c in enumerate(rounded_one_by_one(ts, ys, weights, [to_f32(at_0)], 6)):
        rows[j][k] = c


def erf_table():
    rows = [[mpf(0)] * 16 for _ in range(6)]
    ts = chebyshev(mpf(2) ** -20, WIDTH / 2)
    odd = rounded_one_by_one([t * t for t in ts], [erf(t) / t - 1 for t in ts], [mpf(1)] * len(ts), [], 3)
    for j in range(3):
        rows[2 * j + 1][0] = odd[j]
    for k in range(1, 16):
        ts = chebyshev(-WIDTH / 2, WIDTH / 2)
        ys = [erf(k * WIDTH + t) for t in ts]
        weights = [1 / ulp(y) for y in ys]
        if k == 15:
            ts, ys, weights = ts + [WIDTH / 2], ys + [1 - mpf(2) ** -27], weights + [2 * weights[0]]
        put_polynomial(rows, k, ts, ys, weights, erf(k * WIDTH))
    return rows


def print_table(name, rows):
    print(name)
    for row in rows:
        print("  {" + ", ".join(mp.nstr(c, 9) for c in row) + "},")


print_table("erf f32, table", erf_table())


# The derivative of GELU in f32, P(N <= x) + x e^(-x^2/2) / sqrt(2 pi), less the 1/2 that it is at 0: then it is odd.
# From 0 to 15.5 times GELU_WIDTH, a polynomial of degree 5 for each k as above. What counts is the error itself, in
# units of 2^-24, as 1/2 is added; the last polynomial ends at 1/2, which the function is from there on, but for
# 2^-24.8.
GELU_WIDTH = to_f32(mpf("0.3875"))


def gelu_slope(x):
    return erf(x / sqrt(mpf(2))) / 2 + x * exp(-x * x / 2) / sqrt(2 * pi)


def gelu_slope_table():
    rows = [[mpf(0)] * 16 for _ in range(6)]
    for k in range(16):
        ts = chebyshev(0 if k == 0 else -GELU_WIDTH / 2, GELU_WIDTH / 2)
        ys = [gelu_slope(k * GELU_WIDTH + t) for t in ts]
        weights = [mpf(2) ** 24] * len(ts)
        if k == 15:
            ts, ys, weights = ts + [GELU_WIDTH / 2], ys + [mpf(1) / 2], weights + [100 * weights[0]]
        put_polynomial(rows, k, ts, ys, weights, gelu_slope(k * GELU_WIDTH))
    return rows


print_table("derivative of GELU f32, table", gelu_slope_table())
