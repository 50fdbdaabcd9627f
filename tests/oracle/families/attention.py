"""scaled_dot_product_attention, by PyTorch's plain formula (its kernels have no second derivatives)."""

import numpy as np
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from .recorder import Family, booleans, signed


def attention(**options):
    def function(q, k, v, mask=None):
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **options)
    return function


def lower(*shape):
    return np.tril(np.ones(shape, dtype=bool))


def family():
    cases = Family("attention")
    heads = (2, 2, 3, 4)
    cases.add("attention/heads", attention(), signed(*heads), signed(*heads), signed(*heads))
    cases.add("attention/causal", attention(is_causal=True), signed(*heads), signed(*heads), signed(*heads))
    cases.add("attention/scale", attention(scale=0.3), signed(2, 3, 2), signed(2, 3, 2), signed(2, 3, 2), scale=0.3)
    cases.add("attention/more_keys", attention(), signed(2, 2, 3), signed(2, 4, 3), signed(2, 4, 5))
    cases.add("attention/causal_more_keys", attention(is_causal=True), signed(1, 2, 3), signed(1, 4, 3),
              signed(1, 4, 2))
    cases.add("attention/causal_more_queries", attention(is_causal=True), signed(1, 4, 3), signed(1, 2, 3),
              signed(1, 2, 2))
    cases.add("masked_attention/heads", attention(), signed(*heads), signed(*heads), signed(*heads),
              lambda rng: booleans(2, 1, 3, 3)(rng) | np.eye(3, dtype=bool))
    nothing = lower(3, 3)
    nothing[1] = False
    cases.add("masked_attention/a_row_of_nothing", attention(), signed(2, 3, 2), signed(2, 3, 2), signed(2, 3, 2),
              nothing)
    return cases
