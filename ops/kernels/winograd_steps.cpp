#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/kernels/targets.hpp>
#include <tapestry/ops/kernels/winograd_steps.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/winograd_steps.cpp"
#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>
#include <tapestry/ops/kernels/winograd_transforms-inl.hpp>
#include <tapestry/ops/kernels/winograd_words-inl.hpp>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::winograd::HWY_NAMESPACE {

// A block of products is kept in registers, up to kRows x 2 vectors of sums, beside two vectors of the right
// operand and one of the left.
constexpr std::int64_t kRows = kLanes == 16 ? 14 : 6, kColumns = 2 * kLanes;

// --- tiles ---

/// A tile's place, and the next.
struct Place {
  const Tiling& t;
  std::int64_t image, y, x;

  Place(const Tiling& tiling, std::int64_t tile)
      : t(tiling), image(tile / (t.down * t.across)), y(tile / t.across % t.down), x(tile % t.across) {}
  void advance() {
    if (++x < t.across) return;
    x = 0;
    if (++y < t.down) return;
    y = 0;
    ++image;
  }
  /// Where the tile's first size x size pixels are in `images`; `outside` for those outside of the image.
  template <int kSize, class T>
  HWY_INLINE void find_pixels(T* images, T* outside, T* (&pixels)[kSize * kSize]) const {
    const std::int64_t row = y * kOut - t.lo_h, column = x * kOut - t.lo_w;
    T* first = images + ((image * t.h + row) * t.w + column) * t.channels;
    for (int i = 0; i < kSize; ++i, first += t.w * t.channels) {
      const bool inside = row + i >= 0 && row + i < t.h;
      for (int j = 0; j < kSize; ++j) {
        T* pixel = first + j * t.channels;
        pixels[i * kSize + j] = inside && column + j >= 0 && column + j < t.w ? pixel : outside;
      }
    }
  }
};

/// Calls store(tile, channel, transformed) for vectors of 16 points.
template <class Transform, class From, class Store>
HWY_INLINE void read_tiles(const Reading& r, const Store& store) {
  constexpr int size = Transform::kFrom;
  const auto* const images = static_cast<const From*>(r.images);
  Place place(r.tiling, r.begin);
  for (std::int64_t tile = 0; tile < r.end - r.begin; ++tile, place.advance()) {
    const From* pixels[size * size];
    place.find_pixels<size>(images, static_cast<const From*>(r.zeros), pixels);
    std::int64_t channel = 0;
    for (; channel + kLanes <= r.tiling.channels; channel += kLanes) {
      V x[kPoints];
#pragma GCC unroll 16
      for (int i = 0; i < size * size; ++i) x[i] = load(pixels[i] + channel);
      transform<Transform>(x);
      store(tile, channel, x);
    }
    if (channel < r.tiling.channels) {
      V x[kPoints];
      for (int i = 0; i < size * size; ++i) x[i] = load(pixels[i] + channel, r.tiling.channels - channel);
      transform<Transform>(x);
      store(tile, channel, x);
    }
  }
}

template <class Arithmetic, class From>
void rows_of_images(const Reading& r, const Words& words) {
  const Words to = words;  // which nothing else can change
  read_tiles<OfImages, From>(r, [&](std::int64_t tile, std::int64_t channel, const V* x) HWY_ATTR {
    float* const at = to.data + tile * to.step + channel / Arithmetic::terms;
#pragma GCC unroll 16
    for (int p = 0; p < kPoints; ++p) Arithmetic::store_row(x[p], at + p * to.plane);
  });
}

template <class Arithmetic, class From, class Transform>
void terms_of(const Reading& r, const Words& words) {
  const Words to = words;  // which nothing else can change
  read_tiles<Transform, From>(r, [&](std::int64_t tile, std::int64_t channel, const V* x) HWY_ATTR {
    float* const at =
        to.data + tile / Arithmetic::terms * to.step + channel / kColumns * to.panel + channel % kColumns;
    const std::int64_t term = tile % Arithmetic::terms;
#pragma GCC unroll 16
    for (int p = 0; p < kPoints; ++p) Arithmetic::store_terms(x[p], term, at + p * to.plane);
  });
}

/// From the sums of one tile's points, `plane` apart, for the channels from `channel` on.
template <class Arithmetic, class To>
HWY_INLINE void write_tile(const float* sums, std::int64_t plane, const Place& place, std::int64_t channel,
                           To* results, bool past_caches) {
  To* pixels[kOut * kOut];
  place.find_pixels<kOut>(results, static_cast<To*>(nullptr), pixels);
  const std::int64_t count = std::min(kColumns, place.t.channels - channel);
  V x[2][kPoints];
  for (std::int64_t v = 0; v * kLanes < count; ++v) {
#pragma GCC unroll 16
    for (int p = 0; p < kPoints; ++p) x[v][p] = hn::Load(F(), sums + p * plane + v * kLanes);
    transform<ToResults>(x[v]);
  }
  for (int i = 0; i < kOut * kOut; ++i) {
    if (!pixels[i]) continue;
    To* const to = pixels[i] + channel;
    if (count == kColumns) {
      store_two<Arithmetic>(x[0][i], x[1][i], to, past_caches);
    } else {
      for (std::int64_t v = 0; v * kLanes < count; ++v)
        store<Arithmetic>(x[v][i], to + v * kLanes, count - v * kLanes);
    }
  }
}

// --- filters ---

template <class Arithmetic, class From>
void filters(const FilterView& f, std::int64_t begin, std::int64_t end, float* to) {
  constexpr std::int64_t terms = Arithmetic::terms, taps = kTaps * kTaps;
  const std::int64_t depth = (f.terms + terms - 1) / terms;
  const auto* const w = static_cast<const From*>(f.filters);
  for (std::int64_t panel = begin; panel < end; ++panel) {
    for (std::int64_t term = 0; term < depth * terms; ++term) {
      for (std::int64_t v = 0; v < kColumns; v += kLanes) {
        const std::int64_t first = panel * kColumns + v;
        const std::int64_t count =
            term < f.terms ? std::clamp<std::int64_t>(f.columns - first, 0, kLanes) : 0;
        V x[kPoints];
        for (std::int64_t i = 0; i < taps; ++i) {
          alignas(64) float of_tap[kLanes] = {};
          const From* from = w + (f.flip ? taps - 1 - i : i) * f.tap + term * f.term + first * f.column;
          for (std::int64_t j = 0; j < count; ++j) of_tap[j] = float(from[j * f.column]);
          x[i] = hn::Load(F(), of_tap);
        }
        transform<OfFilters>(x);
        for (std::int64_t p = 0; p < kPoints; ++p) {
          float* at = to + ((panel * kPoints + p) * depth + term / terms) * kColumns + v;
          Arithmetic::store_terms(x[p], term % terms, at);
        }
      }
    }
  }
}

template <class Arithmetic, class To>
void filter_gradients(const FilterSums& s) {
  auto* const filters = static_cast<To*>(s.filters);
  for (std::int64_t row = s.begin; row < s.end; ++row) {
    for (std::int64_t column = 0; column < s.columns; column += kLanes) {
      V x[kPoints];
      for (std::int64_t p = 0; p < kPoints; ++p)
        x[p] = hn::Load(F(), s.sums + (p * s.rows + row) * s.ld + column);
      transform<ToFilters>(x);
      for (std::int64_t i = 0; i < kTaps * kTaps; ++i)
        store<Arithmetic>(x[i], filters + (i * s.rows + row) * s.columns + column, s.columns - column);
    }
  }
}

// --- products ---

struct Panel {
  const float* left;
  std::int64_t left_row, left_step;  // words between rows, and between words of a sum
  const float* right;                // kColumns words for each word of a sum
  std::int64_t depth;
  float* sums;
  std::int64_t ld;
  bool add;
};

template <class Arithmetic, int kCount, int kVectors>
void multiply(const Panel& panel) {
  const F d;
  V sum[kCount][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(d);
  }
  const float* HWY_RESTRICT left = panel.left;
  const float* HWY_RESTRICT right = panel.right;
  const std::int64_t row = panel.left_row, step = panel.left_step;
  for (std::int64_t k = 0; k < panel.depth; ++k, left += step, right += kColumns) {
    V b[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) b[v] = hn::Load(d, right + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
      const V a = hn::Set(d, left[i * row]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[i][v] = Arithmetic::add_product(sum[i][v], a, b[v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) {
    float* HWY_RESTRICT to = panel.sums + i * panel.ld;
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v, to += kLanes)
      hn::Store(panel.add ? hn::Add(hn::Load(d, to), sum[i][v]) : sum[i][v], d, to);
  }
}

using Multiply = void (*)(const Panel&);
template <class Arithmetic, int kVectors, std::size_t... kCounts>
constexpr auto multiply_functions(std::index_sequence<kCounts...>) {
  return std::array<Multiply, sizeof...(kCounts)>{multiply<Arithmetic, int(kCounts) + 1, kVectors>...};
}
template <class Arithmetic>
Multiply multiply_for(std::int64_t rows, std::int64_t columns) {
  using Counts = std::make_index_sequence<std::size_t(kRows)>;
  static constexpr auto one = multiply_functions<Arithmetic, 1>(Counts());
  static constexpr auto two = multiply_functions<Arithmetic, 2>(Counts());
  return (columns > kLanes ? two : one)[std::size_t(rows - 1)];
}

/// Calls f(begin, end) for even pieces of `rows`, each of at most kRows.
template <class Each>
HWY_INLINE void visit_rows(std::int64_t rows, const Each& each) {
  const std::int64_t pieces = (rows + kRows - 1) / kRows;
  for (std::int64_t i = 0; i < pieces; ++i) each(i * rows / pieces, (i + 1) * rows / pieces);
}

template <class Arithmetic, class To>
void results(const ResultBlock& b) {
  const std::int64_t channels = b.tiling.channels;
  constexpr std::int64_t plane = kRows * kColumns;
  const bool past_caches =
      b.past_caches && channels % kColumns == 0 && reinterpret_cast<std::uintptr_t>(b.results) % 64 == 0;
  alignas(64) float sums[kPoints * plane];  // of one block of registers: they stay in the first cache
  for (std::int64_t channel = 0; channel < channels; channel += kColumns) {
    const float* const filters = b.filters + channel * kPoints * b.depth;
    visit_rows(b.end - b.begin, [&](std::int64_t begin, std::int64_t end) HWY_ATTR {
      const Multiply multiply = multiply_for<Arithmetic>(end - begin, channels - channel);
      for (std::int64_t p = 0; p < kPoints; ++p) {
        multiply({.left = b.tiles.data + p * b.tiles.plane + begin * b.tiles.step,
                  .left_row = b.tiles.step,
                  .left_step = 1,
                  .right = filters + p * b.depth * kColumns,
                  .depth = b.depth,
                  .sums = sums + p * plane,
                  .ld = kColumns,
                  .add = false});
      }
      Place place(b.tiling, b.begin + begin);
      for (std::int64_t row = 0; row < end - begin; ++row, place.advance())
        write_tile<Arithmetic>(sums + row * kColumns, plane, place, channel, static_cast<To*>(b.results),
                               past_caches);
    });
  }
  if (past_caches) hwy::FlushStream();
}

/// Words of a sum at a time: a panel of the right operand stays in the first cache while all rows use it.
constexpr std::int64_t kDepth = 128;

template <class Arithmetic>
void sum_terms(const TermBlock& b) {
  for (std::int64_t k = 0; k < b.depth; k += kDepth) {
    for (std::int64_t column = 0; column < b.columns; column += kColumns) {
      visit_rows(b.rows, [&](std::int64_t begin, std::int64_t end) HWY_ATTR {
        multiply_for<Arithmetic>(end - begin, b.columns - column)(
            {.left = b.left + k * b.left_step + begin,
             .left_row = 1,
             .left_step = b.left_step,
             .right = b.right + column / kColumns * b.right_panel + k * kColumns,
             .depth = std::min(kDepth, b.depth - k),
             .sums = b.sums + begin * b.ld + column,
             .ld = b.ld,
             .add = b.add || k > 0});
      });
    }
  }
}

template <class Arithmetic, class From, class To>
const Steps& all_steps() {
  static constexpr Steps made{.terms = Arithmetic::terms,
                              .columns = kColumns,
                              .rows = kRows,
                              .vector = kLanes,
                              .rows_of_images = rows_of_images<Arithmetic, From>,
                              .terms_of_images = terms_of<Arithmetic, From, OfImages>,
                              .terms_of_results = terms_of<Arithmetic, From, OfResults>,
                              .filters = filters<Arithmetic, From>,
                              .results = results<Arithmetic, To>,
                              .sum_terms = sum_terms<Arithmetic>,
                              .filter_gradients = filter_gradients<Arithmetic, To>};
  return made;
}

const Steps* find_steps(DType from, DType to) {
  if (from == DType::f32) return &all_steps<Whole, float, float>();
#if HWY_TARGET == HWY_AVX3
  if (cpu_multiplies_bf16())
    return to == DType::f32 ? &all_steps<Pairs, bf16, float>() : &all_steps<Pairs, bf16, bf16>();
#endif
  return to == DType::f32 ? &all_steps<Whole, bf16, float>() : &all_steps<Whole, bf16, bf16>();
}

}  // namespace tapestry::kernels::winograd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels::winograd {
HWY_EXPORT(find_steps);

const Steps& steps(DType from, DType to) { return *HWY_DYNAMIC_DISPATCH(find_steps)(from, to); }

}  // namespace tapestry::kernels::winograd
#endif
