"""softmax and log_softmax."""

import math

import torch

from .recorder import Family, f64, signed

inf, nan = math.inf, math.nan


def family():
    cases = Family("softmax")
    for name, function in {"softmax": torch.softmax, "log_softmax": torch.log_softmax}.items():
        for axis in (0, 1, 2, -1):
            cases.add(f"{name}/axis{axis}", lambda x: function(x, axis), signed(2, 3, 4), axis=axis)
        cases.add(f"{name}/vector", lambda x: function(x, 0), signed(6), axis=0)
        cases.add(f"{name}/size_one", lambda x: function(x, 1), signed(3, 1), axis=1)
        cases.add(f"{name}/batch_of_one", lambda x: function(x, 1), signed(1, 5), axis=1)
        cases.add(f"{name}/empty", lambda x: function(x, 1), signed(0, 3), axis=1)
        cases.add(f"{name}/ties", lambda x: function(x, 1), f64([[1, 1, 1], [2, 0, 2]]), axis=1)
        huge = f64([[1e4, 1e4 - 1, 1e4 - 3], [-1e4, -1e4 - 2, -1e4 + 1], [0, 1e4, -1e4]])
        cases.add(f"{name}/huge", lambda x: function(x, 1), huge, axis=1)
        cases.add(f"{name}/huge_columns", lambda x: function(x, 0), huge.T.copy(), axis=0)
        cases.add(f"{name}/nan", lambda x: function(x, 1), f64([[1, nan, 2], [1, 2, 3]]), axis=1, order=0)
    cases.add("softmax/masked", lambda x: torch.softmax(x, 1), f64([[1, -inf, 2], [-inf, 0, -inf]]), axis=1, order=1)
    cases.add("log_softmax/masked", lambda x: torch.log_softmax(x, 1), f64([[1, -inf, 2], [-inf, 0, -inf]]), axis=1,
              order=0)
    cases.add("softmax/repeated", lambda x: torch.softmax(x, 1) * x, signed(2, 3), axis=1)
    return cases
