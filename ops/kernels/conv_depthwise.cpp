// Depthwise convolutions: a filter for each channel. Too little to multiply for a matrix product: loops over
// the channels of a pixel, which the compiler makes vectors of.
#include <tapestry/ops/kernels/conv_parts.hpp>

#include <algorithm>

namespace tapestry::kernels {
namespace {

/// Calls tap(result, pixel, tap) for all that meet in image `i`, in elements from channel 0 on.
template <class Tap>
void visit_taps(const ConvShape& s, std::int64_t i, const Tap& tap) {
  for (std::int64_t y = 0; y < s.oh; ++y) {
    for (std::int64_t x = 0; x < s.ow; ++x) {
      for (std::int64_t t = 0; t < s.taps(); ++t) {
        const std::int64_t row = y * s.stride_h - s.lo_h + t / s.kw * s.dilation_h;
        const std::int64_t column = x * s.stride_w - s.lo_w + t % s.kw * s.dilation_w;
        if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
        tap(((i * s.oh + y) * s.ow + x) * s.cin, ((i * s.h + row) * s.w + column) * s.cin, t * s.cin);
      }
    }
  }
}

// sum += a * b, channel by channel
template <class T, class From>
void multiply_add(std::int64_t channels, const From* a, const From* b, T* sum) {
  for (std::int64_t c = 0; c < channels; ++c) sum[c] += T(a[c]) * T(b[c]);
}

template <class From, class T, class To>
void compute(const Convolution& c, const From* a, const From* b, To* to) {
  constexpr bool kRounds = !std::is_same_v<T, To>;
  const ConvShape& s = c.shape;
  const std::int64_t channels = s.cin;
  if (c.part == ConvPart::filters) {
    const Chunks slices = filter_slices(s.n);
    const std::int64_t size = s.filters();
    const Scratch::Piece whole(whole_scratch(), std::size_t(size * slices.count()) * sizeof(T));
    T* sums = kRounds ? whole.as<T>() : reinterpret_cast<T*>(to);
    T* others = whole.as<T>() + (kRounds ? size : 0);
    parallel_for(slices.count(), [&](std::int64_t slice) {
      T* sum = slice == 0 ? sums : others + (slice - 1) * size;
      std::fill_n(sum, size, T(0));
      for (std::int64_t i = slices.begin(slice); i < slices.end(slice); ++i) {
        visit_taps(s, i, [&](std::int64_t result, std::int64_t pixel, std::int64_t tap) {
          multiply_add(channels, a + pixel, b + result, sum + tap);
        });
      }
    });
    add_up(sums, others, size, slices.count(), size);
    if constexpr (kRounds) std::transform(sums, sums + size, to, [](T x) { return To(x); });
    return;
  }
  const bool forward = c.part == ConvPart::results;
  const std::int64_t size = (forward ? s.results() : s.images()) / s.n;
  parallel_for(s.n, [&](std::int64_t i) {
    const Scratch::Piece piece(chunk_scratch(), kRounds ? std::size_t(size) * sizeof(T) : 0);
    T* sum = kRounds ? piece.as<T>() : reinterpret_cast<T*>(to + i * size);
    std::fill_n(sum, size, T(0));
    visit_taps(s, i, [&](std::int64_t result, std::int64_t pixel, std::int64_t tap) {
      if (forward) {
        multiply_add(channels, a + pixel, b + tap, sum + (result - i * size));
      } else {
        multiply_add(channels, a + result, b + tap, sum + (pixel - i * size));
      }
    });
    if constexpr (kRounds) std::transform(sum, sum + size, to + i * size, [](T x) { return To(x); });
  });
}

template <class From, class T, class To>
void run(const Convolution& c, const void* a, const void* b, void* to) {
  compute<From, T, To>(c, static_cast<const From*>(a), static_cast<const From*>(b), static_cast<To*>(to));
}

}  // namespace

void convolve_depthwise(const Convolution& c, const void* a, const void* b, void* to) {
  if (c.from == DType::f64) return run<double, double, double>(c, a, b, to);
  if (c.from == DType::f32) return run<float, float, float>(c, a, b, to);
  if (c.to == DType::f32) return run<bf16, float, float>(c, a, b, to);
  run<bf16, float, bf16>(c, a, b, to);
}

ConvMemory depthwise_memory(const Convolution& c) {
  const ConvShape& s = c.shape;
  const std::size_t each = size_of(c.from == DType::f64 ? DType::f64 : DType::f32);
  const bool rounds = c.to == DType::bf16;
  if (c.part == ConvPart::filters) {
    return {0, std::size_t(s.filters() * filter_slices(s.n).count()) * each};
  }
  return {rounds ? std::size_t((c.part == ConvPart::results ? s.results() : s.images()) / s.n) * each : 0, 0};
}

}  // namespace tapestry::kernels
