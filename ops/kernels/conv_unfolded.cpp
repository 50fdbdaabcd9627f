// Convolutions as matrix products: a window's elements become a row ("im2col"), the filters are a matrix, and
// the gradient of a row is added back to where its elements came from.
#include <tapestry/ops/kernels/conv_parts.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace tapestry::kernels {
namespace {

/// A window is a pixel: its row is there already.
bool is_pointwise(const ConvShape& s) {
  return s.taps() == 1 && s.stride_h == 1 && s.stride_w == 1 && s.oh == s.h && s.ow == s.w;
}

/// Rows that are unfolded at a time: some 256 KiB, but enough for a product to be one.
std::int64_t rows_at_once(const ConvShape& s) {
  return std::clamp<std::int64_t>(64 * 1024 / (s.taps() * s.cin_each()), 32, 4096);
}
/// Where they are the terms of the sums and not the rows of the result, which is read and written for each
/// block.
constexpr std::int64_t kTermsAtOnce = 256;

/// The windows of the results [begin, end), in one group, as rows of taps x channels: calls run(at, from,
/// length) for the elements from `at` of all those rows, which are the images' from `from`, or outside if
/// that is negative.
template <class Run>
void visit_windows(const ConvShape& s, std::int64_t begin, std::int64_t end, std::int64_t group,
                   const Run& run) {
  const std::int64_t channels = s.cin_each();
  const bool rows_are_runs = s.dilation_w == 1 && s.groups == 1;
  std::int64_t at = 0;
  for (std::int64_t place = begin; place < end; ++place) {
    const std::int64_t image = place / (s.oh * s.ow), y = place / s.ow % s.oh, x = place % s.ow;
    const std::int64_t left = x * s.stride_w - s.lo_w;
    for (std::int64_t i = 0; i < s.kh; ++i) {
      const std::int64_t row = y * s.stride_h - s.lo_h + i * s.dilation_h;
      const std::int64_t start = (image * s.h + row) * s.w * s.cin + group * channels;
      if (row < 0 || row >= s.h) {
        run(at, std::int64_t{-1}, s.kw * channels);
      } else if (rows_are_runs) {
        const std::int64_t first = std::clamp<std::int64_t>(-left, 0, s.kw);
        const std::int64_t last = std::clamp<std::int64_t>(s.w - left, first, s.kw);
        if (first > 0) run(at, std::int64_t{-1}, first * channels);
        if (last > first)
          run(at + first * channels, start + (left + first) * channels, (last - first) * channels);
        if (last < s.kw) run(at + last * channels, std::int64_t{-1}, (s.kw - last) * channels);
      } else {
        for (std::int64_t j = 0; j < s.kw; ++j) {
          const std::int64_t column = left + j * s.dilation_w;
          const bool inside = column >= 0 && column < s.w;
          run(at + j * channels, inside ? start + column * s.cin : -1, channels);
        }
      }
      at += s.kw * channels;
    }
  }
}

template <class From, class T>
void copy(const From* from, std::int64_t count, T* to) {
  if constexpr (std::is_same_v<From, T>) {
    std::memcpy(to, from, std::size_t(count) * sizeof(T));
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = T(from[i]);
  }
}

template <class From, class T>
void unfold(const ConvShape& s, const From* images, std::int64_t begin, std::int64_t end, std::int64_t group,
            T* rows) {
  visit_windows(s, begin, end, group, [&](std::int64_t at, std::int64_t from, std::int64_t length) {
    if (from < 0) {
      std::fill_n(rows + at, length, T(0));
    } else {
      copy(images + from, length, rows + at);
    }
  });
}

template <class T>
void fold(const ConvShape& s, const T* rows, std::int64_t begin, std::int64_t end, std::int64_t group,
          T* images) {
  visit_windows(s, begin, end, group, [&](std::int64_t at, std::int64_t to, std::int64_t length) {
    if (to < 0) return;
    for (std::int64_t i = 0; i < length; ++i) images[to + i] += rows[at + i];
  });
}

/// The operand itself if it can be computed with, or a converted copy.
template <class T, class From>
const T* converted(const From* x, std::int64_t count, T* memory) {
  if constexpr (std::is_same_v<From, T>) return x;
  copy(x, count, memory);
  return memory;
}

/// Operands of type From and results of type To, computed in T.
template <class From, class T, class To>
struct Unfolded {
  static constexpr bool kConverts = !std::is_same_v<From, T>, kRounds = !std::is_same_v<T, To>;
  const ConvShape& s;
  const std::int64_t terms = s.taps() * s.cin_each(), each = s.cout_each();
  const std::int64_t places = s.oh * s.ow;  // of one image

  std::size_t bytes(std::int64_t elements) const {
    return Scratch::aligned(std::size_t(elements) * sizeof(T));
  }

  void results(const From* x, const From* given, To* y) const {
    const Scratch::Piece whole(whole_scratch(), kConverts ? bytes(s.filters()) : 0);
    const T* w = converted(given, s.filters(), whole.as<T>());
    const bool in_place = is_pointwise(s) && !kConverts;
    const std::int64_t most = rows_at_once(s);
    parallel_ranges(s.n * places, most, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t count = end - begin;
      const Scratch::Piece piece(chunk_scratch(), bytes(most * terms) + (kRounds ? bytes(most * s.cout) : 0));
      T* rows = piece.as<T>();
      T* to = reinterpret_cast<T*>(y + begin * s.cout);
      if constexpr (kRounds) to = piece.after<T>(bytes(most * terms));
      for (std::int64_t group = 0; group < s.groups; ++group) {
        const T* a = rows;
        if (in_place) {
          a = reinterpret_cast<const T*>(x + begin * s.cin + group * s.cin_each());
        } else {
          unfold(s, x, begin, end, group, rows);
        }
        gemm_tile(GemmTile{.m = count,
                           .n = each,
                           .k = terms,
                           .lda = in_place ? s.cin : terms,
                           .ldb = s.cout,
                           .ldc = s.cout},
                  a, w + group * each, to + group * each);
      }
      if constexpr (kRounds) copy(to, count * s.cout, y + begin * s.cout);
    });
  }

  void images(const From* g, const From* given, To* gx) const {
    const Scratch::Piece whole(whole_scratch(), kConverts ? bytes(s.filters()) : 0);
    const T* w = converted(given, s.filters(), whole.as<T>());
    const std::int64_t most = rows_at_once(s), image = s.h * s.w * s.cin;
    const std::size_t unfolded = bytes(most * terms), read = kConverts ? bytes(most * s.cout) : 0;
    parallel_ranges(
        s.n, std::max<std::int64_t>(most / places, 1), [&](std::int64_t first, std::int64_t last) {
          const Scratch::Piece piece(chunk_scratch(), unfolded + read + (kRounds ? bytes(image) : 0));
          T* rows = piece.as<T>();
          for (std::int64_t i = first; i < last; ++i) {
            T* to = reinterpret_cast<T*>(gx + i * image);
            if constexpr (kRounds) to = piece.after<T>(unfolded + read);
            std::fill_n(to, image, T(0));
            for (std::int64_t begin = 0; begin < places; begin += most) {
              const std::int64_t end = std::min(begin + most, places), count = end - begin;
              const T* a =
                  converted(g + (i * places + begin) * s.cout, count * s.cout, piece.after<T>(unfolded));
              for (std::int64_t group = 0; group < s.groups; ++group) {
                gemm_tile(GemmTile{.m = count,
                                   .n = terms,
                                   .k = each,
                                   .transpose_b = true,
                                   .lda = s.cout,
                                   .ldb = s.cout,
                                   .ldc = terms},
                          a + group * each, w + group * each, rows);
                fold(s, rows, begin, end, group, to);
              }
            }
            if constexpr (kRounds) copy(to, image, gx + i * image);
          }
        });
  }

  void filters(const From* x, const From* g, To* gw) const {
    const Chunks slices = filter_slices(s.n);
    const std::int64_t size = s.filters();
    const Scratch::Piece whole(whole_scratch(), bytes(size) * std::size_t(slices.count()));
    T* sums = reinterpret_cast<T*>(gw);
    T* others = whole.as<T>();
    if constexpr (kRounds) {
      sums = others;
      others += size;
    }
    const std::size_t unfolded = bytes(kTermsAtOnce * terms);
    parallel_for(slices.count(), [&](std::int64_t slice) {
      const Scratch::Piece piece(chunk_scratch(), unfolded + (kConverts ? bytes(kTermsAtOnce * s.cout) : 0));
      T* rows = piece.as<T>();
      T* to = slice == 0 ? sums : others + (slice - 1) * size;
      const std::int64_t first = slices.begin(slice) * places, last = slices.end(slice) * places;
      for (std::int64_t begin = first; begin < last; begin += kTermsAtOnce) {
        const std::int64_t end = std::min(begin + kTermsAtOnce, last), count = end - begin;
        const T* b = converted(g + begin * s.cout, count * s.cout, piece.after<T>(unfolded));
        for (std::int64_t group = 0; group < s.groups; ++group) {
          unfold(s, x, begin, end, group, rows);
          gemm_tile(GemmTile{.m = terms,
                             .n = each,
                             .k = count,
                             .transpose_a = true,
                             .accumulate = begin > first,
                             .lda = terms,
                             .ldb = s.cout,
                             .ldc = s.cout},
                    rows, b + group * each, to + group * each);
        }
      }
    });
    add_up(sums, others, size, slices.count(), size);
    if constexpr (kRounds) copy(sums, size, gw);
  }

  void run(ConvPart part, const void* a, const void* b, void* to) const {
    const auto *from_a = static_cast<const From*>(a), *from_b = static_cast<const From*>(b);
    if (part == ConvPart::results) return results(from_a, from_b, static_cast<To*>(to));
    if (part == ConvPart::images) return images(from_a, from_b, static_cast<To*>(to));
    filters(from_a, from_b, static_cast<To*>(to));
  }
};

}  // namespace

void convolve_unfolded(const Convolution& c, const void* a, const void* b, void* to) {
  if (c.from == DType::f64) return Unfolded<double, double, double>{c.shape}.run(c.part, a, b, to);
  if (c.from == DType::f32) return Unfolded<float, float, float>{c.shape}.run(c.part, a, b, to);
  if (c.to == DType::f32) return Unfolded<bf16, float, float>{c.shape}.run(c.part, a, b, to);
  Unfolded<bf16, float, bf16>{c.shape}.run(c.part, a, b, to);
}

ConvMemory unfolded_memory(const Convolution& c) {
  const ConvShape& s = c.shape;
  const std::int64_t terms = s.taps() * s.cin_each();
  const std::size_t each = size_of(c.from == DType::f64 ? DType::f64 : DType::f32);
  const auto bytes = [&](std::int64_t elements) { return Scratch::aligned(std::size_t(elements) * each); };
  const bool converts = c.from == DType::bf16, rounds = c.to == DType::bf16;
  if (c.part == ConvPart::filters) {
    return {bytes(kTermsAtOnce * terms) + (converts ? bytes(kTermsAtOnce * s.cout) : 0),
            bytes(s.filters()) * std::size_t(filter_slices(s.n).count())};
  }
  const std::int64_t most = rows_at_once(s);
  std::size_t chunk = bytes(most * terms);
  if (c.part == ConvPart::results && rounds) chunk += bytes(most * s.cout);
  if (c.part == ConvPart::images && converts) chunk += bytes(most * s.cout);
  if (c.part == ConvPart::images && rounds) chunk += bytes(s.h * s.w * s.cin);
  return {chunk, converts ? bytes(s.filters()) : 0};
}

}  // namespace tapestry::kernels
