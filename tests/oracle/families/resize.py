"""interpolate without align_corners, channels last."""

import torch.nn.functional as F

from .conv import first, last
from .recorder import Family, signed


def resized(size, mode):
    options = {} if mode == "nearest" else {"align_corners": False}
    return lambda x: last(F.interpolate(first(x), size=size, mode=mode, **options))


def family():
    cases = Family("resize")
    for mode in ("nearest", "bilinear"):
        for label, shape, size in (("twice", (2, 3, 2, 2), (6, 4)), ("larger", (1, 3, 4, 2), (5, 7)),
                                   ("smaller", (1, 5, 6, 2), (3, 4)), ("one_way", (1, 4, 3, 1), (4, 5)),
                                   ("one_pixel", (1, 1, 1, 2), (3, 2)), ("to_one_pixel", (1, 3, 4, 1), (1, 1))):
            cases.add(f"resize2d/{mode}_{label}", resized(size, mode), signed(*shape), order=1, size=size)
    return cases
