#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/conv_parts.hpp>
#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>
#include <tapestry/ops/kernels/onednn.hpp>
#include <tapestry/ops/kernels/winograd.hpp>

#include <algorithm>
#include <cstring>

namespace tapestry::kernels {
namespace {

bool is_depthwise(const ConvShape& s) { return s.groups > 1 && s.groups == s.cin && s.groups == s.cout; }

/// Whether Winograd's minimal filtering is the way: where it can be, it is a matter of shape, dtype and CPU.
bool by_winograd(const Convolution& c) {
  const ConvShape& s = c.shape;
  const bool possible = c.from != DType::f64 && s.kh == 3 && s.kw == 3 && s.stride_h == 1 &&
                        s.stride_w == 1 && s.dilation_h == 1 && s.dilation_w == 1 && s.groups == 1;
  if (!possible || winograd_use() == Winograd::never) return false;
  if (winograd_use() == Winograd::wherever_possible) return true;
  if (!has_kernels()) return false;  // OpenBLAS is faster than one lane
  // AMX multiplies bf16 so fast that it is no use to multiply less.
  if (c.from == DType::bf16 && has_amx() && (amx_convolves(c) || onednn_in_use())) return false;
  // Transforms are work for each channel, products for each pair of channels.
  return std::min(s.cin, s.cout) >= 24;
}

enum class Way : std::uint8_t { winograd, amx, onednn, depthwise, unfolded };

Way way_of(const Convolution& c) {
  if (by_winograd(c)) return Way::winograd;
  if (amx_convolves(c)) return Way::amx;
  if (onednn_convolves(c)) return Way::onednn;
  return is_depthwise(c.shape) ? Way::depthwise : Way::unfolded;
}

std::int64_t elements(const Convolution& c) {
  const ConvShape& s = c.shape;
  return c.part == ConvPart::results ? s.results() : c.part == ConvPart::images ? s.images() : s.filters();
}

}  // namespace

Scratch& chunk_scratch() {  // never destroyed: static objects elsewhere may compute while the process ends
  static Scratch& scratch = *new Scratch;
  return scratch;
}
Scratch& whole_scratch() {
  static Scratch& scratch = *new Scratch;
  return scratch;
}

Chunks filter_slices(std::int64_t n) {
  constexpr std::int64_t kSlices = 16;
  return Chunks(n, (n + kSlices - 1) / kSlices);
}

template <class T>
void add_up(T* first, T* others, std::int64_t stride, std::int64_t count, std::int64_t size) {
  if (count < 2) return;
  parallel_ranges(size, 16 * 1024, [&](std::int64_t begin, std::int64_t end) {
    const auto part = [&](std::int64_t i) { return i == 0 ? first : others + (i - 1) * stride; };
    for (std::int64_t step = 1; step < count; step *= 2) {
      for (std::int64_t i = 0; i + step < count; i += 2 * step) {
        T* to = part(i);
        const T* from = part(i + step);
        for (std::int64_t j = begin; j < end; ++j) to[j] += from[j];
      }
    }
  });
}
template void add_up(float*, float*, std::int64_t, std::int64_t, std::int64_t);
template void add_up(double*, double*, std::int64_t, std::int64_t, std::int64_t);

void convolve(const Convolution& c, const void* a, const void* b, void* to) {
  const std::int64_t count = elements(c);
  if (count == 0) return;
  if (c.shape.n == 0 || c.shape.cin == 0 || c.shape.results() == 0) {  // sums of nothing
    std::memset(to, 0, std::size_t(count) * size_of(c.to));
    return;
  }
  switch (way_of(c)) {
    case Way::winograd:
      return convolve_winograd(c, a, b, to);
    case Way::amx:
      return convolve_by_amx(c, a, b, to);
    case Way::onednn:
      return convolve_by_onednn(c, a, b, to);
    case Way::depthwise:
      return convolve_depthwise(c, a, b, to);
    case Way::unfolded:
      return convolve_unfolded(c, a, b, to);
  }
}

std::size_t reserve_for_convolution(const Convolution& c) {
  if (elements(c) == 0 || c.shape.n == 0 || c.shape.cin == 0 || c.shape.results() == 0) return 0;
  const Way way = way_of(c);
  const ConvMemory memory = [&] {
    switch (way) {
      case Way::winograd:
        return winograd_memory(c);
      case Way::amx:
        return amx_memory(c);
      case Way::onednn:
        return onednn_memory(c);
      case Way::depthwise:
        return depthwise_memory(c);
      case Way::unfolded:
        break;
    }
    return unfolded_memory(c);
  }();
  const auto threads = std::size_t(thread_count());
  chunk_scratch().reserve(memory.chunk, threads);
  whole_scratch().reserve(memory.whole, 1);
  const ConvShape& s = c.shape;
  const std::int64_t terms = s.taps() * s.cin_each();
  return memory.chunk * threads + memory.whole +
         (way == Way::unfolded ? reserve_for_gemm_tile(256, std::max(s.cout, terms), std::max(s.cout, terms))
                               : 0);
}

}  // namespace tapestry::kernels
