// The ways to compute a convolution, and what they share; conv.cpp chooses.
#pragma once

#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/conv.hpp>
#include <tapestry/ops/kernels/scratch.hpp>

namespace tapestry::kernels {

/// Whether so many bytes are more than caches would keep until they are read.
constexpr bool exceeds_caches(std::int64_t bytes) { return bytes >= std::int64_t{32} << 20; }

/// Memory for the chunk at work on a thread, and for a convolution as a whole.
Scratch& chunk_scratch();
Scratch& whole_scratch();

/// The slices of a batch whose gradients of the filters are added up: few, since each takes as much memory as
/// the filters.
Chunks filter_slices(std::int64_t n);

/// The sum of `count` arrays of `size` elements, in pairs, then pairs of pairs, into the first of them; the
/// others are `stride` elements apart and are overwritten.
template <class T>
void add_up(T* first, T* others, std::int64_t stride, std::int64_t count, std::int64_t size);

/// 3x3 windows of stride 1 by Winograd's minimal filtering, which takes fewer multiplications.
void convolve_winograd(const Convolution& c, const void* a, const void* b, void* to);

/// bf16 by AMX, directly; where amx_convolves().
bool amx_convolves(const Convolution& c);
void convolve_by_amx(const Convolution& c, const void* a, const void* b, void* to);

/// By oneDNN, where onednn_convolves(): it is in use and has a kernel for this. f32 and bf16.
bool onednn_convolves(const Convolution& c);
void convolve_by_onednn(const Convolution& c, const void* a, const void* b, void* to);

struct ConvMemory {
  std::size_t chunk = 0, whole = 0;
};
ConvMemory winograd_memory(const Convolution& c);
ConvMemory amx_memory(const Convolution& c);
ConvMemory onednn_memory(const Convolution& c);

/// By matrix products of unfolded images.
void convolve_unfolded(const Convolution& c, const void* a, const void* b, void* to);
ConvMemory unfolded_memory(const Convolution& c);

/// One filter a channel: loops over the channels.
void convolve_depthwise(const Convolution& c, const void* a, const void* b, void* to);
ConvMemory depthwise_memory(const Convolution& c);

}  // namespace tapestry::kernels
