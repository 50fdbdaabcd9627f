"""conv2d and conv_transpose2d, channels last: images [n, h, w, c], filters [kh, kw, cin / groups, cout]."""

import torch.nn.functional as F

from .recorder import Family, signed


def first(x):
    return x.permute(0, 3, 1, 2)


def last(x):
    return x.permute(0, 2, 3, 1)


def conv(stride=1, lo=(0, 0), hi=(0, 0), dilation=1, groups=1):
    def convolve(x, w):
        x = F.pad(first(x), (lo[1], hi[1], lo[0], hi[0]))
        return last(F.conv2d(x, w.permute(3, 2, 0, 1), stride=stride, dilation=dilation, groups=groups))
    return convolve


def transpose(**options):
    def convolve(x, w):  # filters are [kh, kw, cout / groups, cin] here and [cin, cout / groups, kh, kw] there
        return last(F.conv_transpose2d(first(x), w.permute(3, 2, 0, 1), **options))
    return convolve


def filters(kh, kw):
    def correlate(x, g):  # the gradient of the filters of a plain convolution
        windows = F.unfold(first(x), (kh, kw))  # [n, cin kh kw, places]
        sums = (windows @ g.reshape(g.shape[0], -1, g.shape[-1])).sum(0)
        return sums.reshape(x.shape[-1], kh, kw, -1).permute(1, 2, 0, 3)
    return correlate


def family():
    cases = Family("conv")
    for label, x, w, options in (
            ("plain", (2, 5, 6, 3), (3, 2, 3, 4), {}),
            ("same", (2, 5, 6, 3), (3, 3, 3, 4), {"lo": (1, 1), "hi": (1, 1)}),
            ("same_even", (1, 4, 5, 2), (2, 4, 2, 3), {"lo": (0, 1), "hi": (1, 2)}),
            ("same_stride", (1, 5, 6, 2), (3, 3, 2, 3), {"stride": 2, "lo": (1, 0), "hi": (1, 1)}),
            ("stride_remainder", (2, 6, 7, 2), (3, 3, 2, 2), {"stride": (2, 3)}),
            ("dilation", (1, 7, 8, 2), (3, 2, 2, 2), {"dilation": (2, 3), "lo": (1, 2), "hi": (1, 2)}),
            ("groups", (2, 4, 4, 6), (3, 3, 2, 9), {"groups": 3}),
            ("depthwise", (2, 5, 5, 5), (3, 3, 1, 5), {"groups": 5, "lo": (1, 1), "hi": (1, 1)}),
            ("depthwise_twice", (1, 4, 4, 3), (2, 2, 1, 6), {"groups": 3}),
            ("pointwise", (2, 3, 4, 5), (1, 1, 5, 3), {}),
            ("pointwise_stride", (2, 5, 4, 3), (1, 1, 3, 2), {"stride": 2}),
            ("outside", (1, 2, 2, 2), (5, 5, 2, 2), {"lo": (3, 3), "hi": (3, 3)}),
            ("sides", (1, 3, 4, 2), (2, 3, 2, 2), {"lo": (1, 0), "hi": (0, 2)}),
            ("one", (1, 1, 1, 1), (1, 1, 1, 1), {}),
            ("empty", (0, 4, 4, 2), (3, 3, 2, 2), {})):
        cases.add(f"conv2d/{label}", conv(**options), signed(*x), signed(*w))
    for label, x, w, options in (
            ("plain", (2, 3, 4, 3), (3, 2, 4, 3), {}),
            ("stride", (1, 3, 2, 2), (3, 3, 3, 2), {"stride": 2, "padding": 1, "output_padding": 1}),
            ("dilation", (1, 2, 3, 2), (2, 3, 2, 2), {"dilation": (3, 2), "padding": (1, 0)}),
            ("groups", (1, 3, 3, 4), (2, 2, 3, 4), {"groups": 2}),
            ("upsample", (2, 2, 2, 3), (2, 2, 1, 3), {"stride": 2})):
        cases.add(f"conv2d_images/{label}", transpose(**options), signed(*x), signed(*w))
    cases.add("conv2d_filters/plain", filters(3, 2), signed(2, 4, 5, 3), signed(2, 2, 4, 2))
    return cases
