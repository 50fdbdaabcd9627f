// Operands of our matrix products in the order in which they are read. Compiled once for each instruction set
// (Highway's include guard).
#include <tapestry/ops/kernels/gemm_panel-inl.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>

#include <algorithm>

#if defined(TAPESTRY_KERNELS_GEMM_PACK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_GEMM_PACK_INL
#undef TAPESTRY_KERNELS_GEMM_PACK_INL
#else
#define TAPESTRY_KERNELS_GEMM_PACK_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

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

/// Rows of op(A) are split evenly into panels of registers.
template <class T>
struct Rows {
  std::int64_t m, panels;
  explicit Rows(std::int64_t m) : m(m), panels((m + Registers<T>::rows - 1) / Registers<T>::rows) {}
  std::int64_t begin(std::int64_t panel) const { return panel * m / panels; }
  std::int64_t count(std::int64_t panel) const { return begin(panel + 1) - begin(panel); }
};

/// Panels [first, last) of k terms; each takes a_step * k elements. `a` is where row 0 and the first term
/// are.
template <class T>
void pack_a(const GemmTile& t, const T* a, std::int64_t k, const Rows<T>& rows, std::int64_t first,
            std::int64_t last, T* to) {
  const hn::ScalableTag<T> d;
  constexpr std::int64_t lanes = Registers<T>::lanes, step = Registers<T>::a_step;
  for (std::int64_t i = first; i < last; ++i, to += step * k) {
    const std::int64_t begin = rows.begin(i), count = rows.count(i);
    if (!t.transpose_a) {
      pack_columns(a + begin * t.lda, t.lda, k, count, step, to);
      continue;
    }
    for (std::int64_t r = 0; r < count; r += lanes) {
      for (std::int64_t p = 0; p < k; ++p)
        hn::Store(load_some(d, a + begin + r + p * t.lda, count - r), d, to + r + p * step);
    }
  }
}

#endif
}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
