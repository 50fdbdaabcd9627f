// The instruction sets that kernels are compiled for: AVX-512, AVX2, and what every CPU of the platform has.
// Include before Highway.
#pragma once

#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4)
#endif
