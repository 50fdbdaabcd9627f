#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <array>
#include <utility>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/gemm_tile.cpp"
#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>
#include <tapestry/ops/kernels/tails-inl.hpp>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
namespace hn = hwy::HWY_NAMESPACE;

// C is computed in register blocks of up to kRows x 2 vectors: their sums, two vectors of B and one of A take
// nearly all registers, 32 with AVX-512 and 16 otherwise.
template <class T>
struct Registers {
  static constexpr std::int64_t lanes = hn::MaxLanes(hn::ScalableTag<T>());
  static constexpr std::int64_t rows = lanes * sizeof(T) == 64 ? 14 : 6;
  static constexpr std::int64_t columns = 2 * lanes;
  /// Elements from one k to the next in a packed panel of A.
  static constexpr std::int64_t a_step = (rows + lanes - 1) / lanes * lanes;
};

template <class T>
struct Panel {
  const T* a;
  std::int64_t a_row, a_step;  // elements between rows, and from one k to the next
  const T* b;
  std::int64_t b_step;
  T* c;
  std::int64_t ldc;
  std::int64_t k, columns;
  bool add;
};

/// kRows x up to kVectors vectors of C. A packed panel has constant steps and whole vectors of B.
template <class T, int kRows, int kVectors, bool kPacked>
void multiply_panel(const Panel<T>& panel) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  constexpr std::int64_t lanes = Registers<T>::lanes;
  const std::int64_t a_row = kPacked ? 1 : panel.a_row;
  const std::int64_t a_step = kPacked ? Registers<T>::a_step : panel.a_step;
  const std::int64_t b_step = kPacked ? kVectors * lanes : panel.b_step;
  const std::int64_t rest = panel.columns - (kVectors - 1) * lanes;  // in the last vector
  const bool whole = rest == lanes;
  const T* HWY_RESTRICT a = panel.a;
  const T* HWY_RESTRICT b = panel.b;
  V sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    if constexpr (kPacked) {
      hwy::Prefetch(panel.c + i * panel.ldc);
      hwy::Prefetch(panel.c + i * panel.ldc + panel.columns - 1);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(d);
  }
  for (std::int64_t p = 0; p < panel.k; ++p) {
    V right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      right[v] = kPacked                       ? hn::Load(d, b + v * lanes)
                 : v + 1 == kVectors && !whole ? load_first(d, b + v * lanes, rest)
                                               : hn::LoadU(d, b + v * lanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const V left = hn::Set(d, a[i * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(left, right[v], sum[i][v]);
    }
    a += a_step;
    b += b_step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    T* HWY_RESTRICT c = panel.c + i * panel.ldc;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v, c += lanes) {
      if (whole || v + 1 < kVectors) {
        hn::StoreU(panel.add ? hn::Add(hn::LoadU(d, c), sum[i][v]) : sum[i][v], d, c);
      } else {
        store_first(panel.add ? hn::Add(load_first(d, c, rest), sum[i][v]) : sum[i][v], d, c, rest);
      }
    }
  }
}

template <class T>
using PanelFunction = void (*)(const Panel<T>&);

template <class T, int kVectors, bool kPacked, std::size_t... kRows>
constexpr auto panel_functions(std::index_sequence<kRows...>) {
  return std::array<PanelFunction<T>, sizeof...(kRows) + 1>{
      nullptr, multiply_panel<T, int(kRows) + 1, kVectors, kPacked>...};
}
/// By rows.
template <class T, int kVectors, bool kPacked, int kRows>
inline constexpr auto kPanels = panel_functions<T, kVectors, kPacked>(std::make_index_sequence<kRows>());

/// The largest blocks of small products; up to 2 vectors of columns, or one.
template <class T>
inline constexpr int kDirectRows = Registers<T>::rows > 8 ? 8 : 4;
inline constexpr int kDirectThinRows = 8;

// --- packing ---

/// Elements from one packed panel of B to the next: a little more than it has, or all panels' rows would
/// compete for the same sets of the first cache.
template <class T>
constexpr std::int64_t b_panel(std::int64_t k) {
  return (k + 1) * Registers<T>::columns;
}

/// From [k, columns] in memory to panels of `width` columns, [panels, k, width]; the last one narrower in
/// whole vectors.
template <class T>
void pack_rows(const T* from, std::int64_t ld, std::int64_t k, std::int64_t columns, T* to) {
  const hn::ScalableTag<T> d;
  constexpr std::int64_t lanes = Registers<T>::lanes, width = Registers<T>::columns;
  const std::int64_t whole = columns / width, rest = columns % width;
  for (std::int64_t p = 0; p < k; ++p) {
    const T* HWY_RESTRICT row = from + p * ld;
    T* HWY_RESTRICT at = to + p * width;
    for (std::int64_t j = 0; j < whole; ++j, row += width, at += b_panel<T>(k)) {
      const auto x = hn::LoadU(d, row), y = hn::LoadU(d, row + lanes);
      hn::Store(x, d, at);
      hn::Store(y, d, at + lanes);
    }
    if (rest > lanes) {
      hn::Store(hn::LoadU(d, row), d, at);
      hn::Store(load_some(d, row + lanes, rest - lanes), d, at + lanes);
    } else if (rest > 0) {
      hn::Store(load_some(d, row, rest), d, to + whole * b_panel<T>(k) + p * lanes);
    }
  }
}

/// 16 bytes from `at` on of each row, the rows a block's lanes apart: with the transposition within blocks
/// below, that makes whole vectors of a column.
template <class T, std::int64_t kLanes>
HWY_INLINE auto load_blocks(const T* const* row, std::int64_t at) {
  const hn::FixedTag<T, std::size_t(kLanes)> d;
  if constexpr (kLanes * sizeof(T) <= 16) {
    return hn::LoadU(d, row[0] + at);
  } else {
    constexpr std::int64_t half = kLanes / 2;
    return hn::Combine(d, load_blocks<T, half>(row + half, at), load_blocks<T, half>(row, at));
  }
}

/// As many columns as fit 16 bytes: to[i * width + r] = row[r][at + i].
template <class T>
HWY_INLINE void turn(const T* const* row, std::int64_t at, std::int64_t width, T* HWY_RESTRICT to) {
  const hn::ScalableTag<T> d;
  constexpr std::int64_t lanes = Registers<T>::lanes;
  const auto v0 = load_blocks<T, lanes>(row, at), v1 = load_blocks<T, lanes>(row + 1, at);
  if constexpr (sizeof(T) == 4) {
    const auto v2 = load_blocks<T, lanes>(row + 2, at), v3 = load_blocks<T, lanes>(row + 3, at);
    const auto l02 = hn::InterleaveLower(d, v0, v2), l13 = hn::InterleaveLower(d, v1, v3);
    const auto u02 = hn::InterleaveUpper(d, v0, v2), u13 = hn::InterleaveUpper(d, v1, v3);
    hn::Store(hn::InterleaveLower(d, l02, l13), d, to);
    hn::Store(hn::InterleaveUpper(d, l02, l13), d, to + width);
    hn::Store(hn::InterleaveLower(d, u02, u13), d, to + 2 * width);
    hn::Store(hn::InterleaveUpper(d, u02, u13), d, to + 3 * width);
  } else {
    hn::Store(hn::InterleaveLower(d, v0, v1), d, to);
    hn::Store(hn::InterleaveUpper(d, v0, v1), d, to + width);
  }
}

/// One panel: to[p * width + r] = from[r * ld + p] for `rows` rows of k elements. The rest of the last vector
/// gets the last row again; nobody reads it.
template <class T>
void pack_columns(const T* from, std::int64_t ld, std::int64_t k, std::int64_t rows, std::int64_t width,
                  T* to) {
  constexpr std::int64_t lanes = Registers<T>::lanes, block = 16 / sizeof(T);
  for (std::int64_t r = 0; r < rows; r += lanes) {
    const T* row[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) row[i] = from + std::min(r + i, rows - 1) * ld;
    T* HWY_RESTRICT at = to + r;
    std::int64_t p = 0;
    for (; p + block <= k; p += block, at += block * width) turn<T>(row, p, width, at);
    for (; p < k; ++p, at += width) {
      for (std::int64_t i = 0; i < lanes; ++i) at[i] = row[i][p];
    }
  }
}

/// Columns in the panel of B that begins at `column`, and its vectors.
template <class T>
struct Width {
  std::int64_t columns, vectors;
  Width(std::int64_t n, std::int64_t column)
      : columns(std::min(n - column, Registers<T>::columns)),
        vectors(columns > Registers<T>::lanes ? 2 : 1) {}
};

template <class T>
void pack_b(const GemmTile& t, const T* b, std::int64_t k, std::int64_t n, T* to) {
  if (!t.transpose_b) return pack_rows(b, t.ldb, k, n, to);
  for (std::int64_t column = 0; column < n; column += Registers<T>::columns) {
    const Width<T> width(n, column);
    pack_columns(b + column * t.ldb, t.ldb, k, width.columns, width.vectors * Registers<T>::lanes,
                 to + column / Registers<T>::columns * b_panel<T>(k));
  }
}

/// Rows are split evenly into panels; each takes a_step * k elements.
template <class T>
void pack_a(const GemmTile& t, const T* a, std::int64_t k, std::int64_t m, std::int64_t panels, T* to) {
  const hn::ScalableTag<T> d;
  constexpr std::int64_t lanes = Registers<T>::lanes, step = Registers<T>::a_step;
  for (std::int64_t i = 0; i < panels; ++i, to += step * k) {
    const std::int64_t begin = i * m / panels, rows = (i + 1) * m / panels - begin;
    if (!t.transpose_a) {
      pack_columns(a + begin * t.lda, t.lda, k, rows, step, to);
      continue;
    }
    for (std::int64_t r = 0; r < rows; r += lanes) {
      for (std::int64_t p = 0; p < k; ++p)
        hn::Store(load_some(d, a + begin + r + p * t.lda, rows - r), d, to + r + p * step);
    }
  }
}

template <class T>
void packed(const GemmTile& t, const T* a, const T* b, T* c, std::byte* memory) {
  constexpr std::int64_t rows = Registers<T>::rows, columns = Registers<T>::columns,
                         a_step = Registers<T>::a_step;
  constexpr auto most_panels = std::int64_t(kPackedA / (kSumBlock * a_step * sizeof(T)));
  constexpr auto most_columns = std::int64_t(kPackedB / (b_panel<T>(kSumBlock) * sizeof(T))) * columns;
  T* const left = reinterpret_cast<T*>(memory);
  T* const right = reinterpret_cast<T*>(memory + kPackedA);
  const Chunks n_blocks(t.n, most_columns, columns), k_blocks(t.k, kSumBlock),
      m_blocks(t.m, most_panels * rows);
  for (std::int64_t jb = 0; jb < n_blocks.count(); ++jb) {
    const std::int64_t n0 = n_blocks.begin(jb), n = n_blocks.end(jb) - n0;
    for (std::int64_t pb = 0; pb < k_blocks.count(); ++pb) {
      const std::int64_t k0 = k_blocks.begin(pb), k = k_blocks.end(pb) - k0;
      pack_b(t, b + (t.transpose_b ? n0 * t.ldb + k0 : k0 * t.ldb + n0), k, n, right);
      for (std::int64_t ib = 0; ib < m_blocks.count(); ++ib) {
        const std::int64_t m0 = m_blocks.begin(ib), m = m_blocks.end(ib) - m0;
        const std::int64_t panels = (m + rows - 1) / rows;
        pack_a(t, a + (t.transpose_a ? k0 * t.lda + m0 : m0 * t.lda + k0), k, m, panels, left);
        for (std::int64_t column = 0; column < n; column += columns) {
          const Width<T> width(n, column);
          for (std::int64_t i = 0; i < panels; ++i) {
            const std::int64_t row = i * m / panels, count = (i + 1) * m / panels - row;
            const auto& functions =
                width.vectors == 2 ? kPanels<T, 2, true, rows> : kPanels<T, 1, true, rows>;
            functions[std::size_t(count)]({.a = left + i * a_step * k,
                                           .a_row = 1,
                                           .a_step = a_step,
                                           .b = right + column / columns * b_panel<T>(k),
                                           .b_step = width.vectors * Registers<T>::lanes,
                                           .c = c + (m0 + row) * t.ldc + n0 + column,
                                           .ldc = t.ldc,
                                           .k = k,
                                           .columns = width.columns,
                                           .add = t.accumulate || pb > 0});
          }
        }
      }
    }
  }
}

template <class T>
void direct(const GemmTile& t, const T* a, const T* b, T* c) {
  constexpr std::int64_t lanes = Registers<T>::lanes;
  const Chunks k_blocks(t.k, kSumBlock);
  alignas(64) T turned[Registers<T>::columns * kSumBlock];
  for (std::int64_t column = 0; column < t.n; column += Registers<T>::columns) {
    const Width<T> width(t.n, column);
    for (std::int64_t pb = 0; pb < k_blocks.count(); ++pb) {
      const std::int64_t k0 = k_blocks.begin(pb), k = k_blocks.end(pb) - k0;
      const T* from = b + k0 * t.ldb + column;
      std::int64_t ldb = t.ldb;
      if (t.transpose_b) {
        ldb = width.vectors * lanes;
        pack_columns(b + column * t.ldb + k0, t.ldb, k, width.columns, ldb, turned);
        from = turned;
      }
      const std::int64_t most = width.vectors == 2 ? kDirectRows<T> : kDirectThinRows;
      const std::int64_t panels = (t.m + most - 1) / most;
      for (std::int64_t i = 0; i < panels; ++i) {
        const std::int64_t row = i * t.m / panels;
        const auto rows = std::size_t((i + 1) * t.m / panels - row);
        const PanelFunction<T> function = width.vectors == 2 ? kPanels<T, 2, false, kDirectRows<T>>[rows]
                                                             : kPanels<T, 1, false, kDirectThinRows>[rows];
        function({.a = a + (t.transpose_a ? k0 * t.lda + row : row * t.lda + k0),
                  .a_row = t.transpose_a ? 1 : t.lda,
                  .a_step = t.transpose_a ? t.lda : 1,
                  .b = from,
                  .b_step = ldb,
                  .c = c + row * t.ldc + column,
                  .ldc = t.ldc,
                  .k = k,
                  .columns = width.columns,
                  .add = t.accumulate || k0 > 0});
      }
    }
  }
}

template <class T>
void product(const GemmTile& t, const T* a, const T* b, T* c, std::byte* packed_ab) {
  packed_ab == nullptr || is_direct(t.m, t.n, t.k) ? direct(t, a, b, c) : packed(t, a, b, c, packed_ab);
}
constexpr bool kKernels = true;

#else

template <class T>
void product(const GemmTile& t, const T* a, const T* b, T* c, std::byte*) {
  blas_product(t, a, b, c);
}
constexpr bool kKernels = false;

#endif

void product_f32(const GemmTile& t, const float* a, const float* b, float* c, std::byte* packed_ab) {
  product(t, a, b, c, packed_ab);
}
void product_f64(const GemmTile& t, const double* a, const double* b, double* c, std::byte* packed_ab) {
  product(t, a, b, c, packed_ab);
}
bool kernels_exist() { return kKernels; }

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(product_f32);
HWY_EXPORT(product_f64);
HWY_EXPORT(kernels_exist);

bool has_kernels() { return HWY_DYNAMIC_DISPATCH(kernels_exist)(); }

bool is_direct(std::int64_t m, std::int64_t n, std::int64_t k) {
  return m <= 16 || n <= 16 || double(m) * double(n) * double(k) <= 48 * 48 * 48;
}

template <>
void matrix_product(const GemmTile& t, const float* a, const float* b, float* c, std::byte* packed) {
  HWY_DYNAMIC_DISPATCH(product_f32)(t, a, b, c, packed);
}
template <>
void matrix_product(const GemmTile& t, const double* a, const double* b, double* c, std::byte* packed) {
  HWY_DYNAMIC_DISPATCH(product_f64)(t, a, b, c, packed);
}

}  // namespace tapestry::kernels
#endif
