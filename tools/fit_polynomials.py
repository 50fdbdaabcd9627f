#!/usr/bin/env python3
"""Fits the polynomials of ops/kernels/math-inl.hpp and prints their coefficients, lowest degree first.

Each interpolates at Chebyshev nodes, which is within a small factor of the best possible; the error that is
printed is relative to the function being approximated, before rounding. Needs mpmath.
"""
from mpmath import mp, mpf, cos, erf, expm1, log, log1p, pi, sin, sqrt, tanh

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
# exp(r) = 1 + r + r^2 p(r)
report("exp f32, not its difference from 1", 9, exp_rest, -HALF_LN2, HALF_LN2, 5, mp.exp,
       lambda r, p: 1 + r + r * r * p)
report("sin f64", 18, root(lambda r: (sin(r) - r) / r**3), 0, QUARTER_PI**2, 6, root(sin),
       lambda z, p: sqrt(z) * (1 + z * p))
report("cos f64", 18, root(lambda r: (cos(r) - 1 + r * r / 2) / r**4), 0, QUARTER_PI**2, 6, root(cos),
       lambda z, p: 1 - z / 2 + z * z * p)
report("tanh f32, to 0.625", 9, root(lambda r: (tanh(r) - r) / r**3), 0, mpf("0.625") ** 2, 5, root(tanh),
       lambda z, p: sqrt(z) * (1 + z * p))

# erf f32 from 0 to 15.5 w: a polynomial of degree 5 in t for each k, x = k w + t with |t| <= w / 2. The width is
# the multiple of 2^-22 near 4 / 15.5 for which rounding each erf(k w), the constant of a polynomial, matters
# least. The first polynomial is odd and for erf(x) - x, so that small results are as accurate as large ones.
def rounding(width, k):
    low = erf((k - mpf(1) / 2) * width)
    unit = mpf(2) ** (int(mp.floor(log(low, 2))) - 23)
    y = erf(k * width) * 2**24
    ulp = mpf(2) ** (int(mp.floor(log(y, 2))) - 23)
    return abs(y / ulp - mp.nint(y / ulp)) * ulp / 2**24 / unit


def erf_table(width):
    rows = [[mpf(0)] * 16 for _ in range(6)]
    odd = fit(root(lambda r: erf(r) / r - 1), 0, (width / 2) ** 2, 3)
    for j in range(3):
        rows[2 * j + 1][0] = odd[j]
    for k in range(1, 16):
        c = fit(lambda t: erf(k * width + t), -width / 2, width / 2, 6)
        for j in range(6):
            rows[j][k] = c[j] if j > 0 else erf(k * width)
    return rows


WIDTH = mpf(1066642) / 2**22
print(f"erf f32, table: width {mp.nstr(WIDTH, 10)}, at most {mp.nstr(max(rounding(WIDTH, k) for k in range(1, 16)), 2)} "
      "ulp by rounding the constants")
for row in erf_table(WIDTH):
    print("  {" + ", ".join(mp.nstr(c, 9) for c in row) + "},")
