#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/gemv.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <tapestry/ops/kernels/tails-inl.hpp>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
namespace hn = hwy::HWY_NAMESPACE;

/// sums[j] += a[p * step] b[p * ld + j] for the p of kRows rows, each row read from end to end.
template <class T, int kRows>
HWY_INLINE void add_rows(const T* a, std::int64_t step, const T* b, std::int64_t ld, std::int64_t columns,
                         T* HWY_RESTRICT sums) {
  const hn::ScalableTag<T> d;
  constexpr auto lanes = std::int64_t(hn::MaxLanes(hn::ScalableTag<T>()));
  for (std::int64_t j = 0; j < columns; j += lanes) {
    auto sum = hn::Load(d, sums + j);
#pragma GCC unroll 4
    for (int p = 0; p < kRows; ++p)
      sum = hn::MulAdd(hn::Set(d, a[p * step]), load_some(d, b + p * ld + j, columns - j), sum);
    hn::Store(sum, d, sums + j);
  }
}

/// A row times a matrix, in the order of the other products: the results are the sums' registers, and these
/// are in the first cache.
template <class T>
void row_by_matrix(const GemmTile& t, const T* a, const T* b, T* c) {
  const hn::ScalableTag<T> d;
  constexpr auto lanes = std::int64_t(hn::MaxLanes(hn::ScalableTag<T>()));
  constexpr std::int64_t kColumns = 1024;
  alignas(64) T sums[kColumns];
  const std::int64_t step = t.transpose_a ? t.lda : 1;
  const Chunks k_blocks(t.k, kSumBlock);
  for (std::int64_t first = 0; first < t.n; first += kColumns) {
    const std::int64_t columns = std::min(kColumns, t.n - first);
    for (std::int64_t pb = 0; pb < k_blocks.count(); ++pb) {
      std::fill(sums, sums + (columns + lanes - 1) / lanes * lanes, T(0));
      std::int64_t p = k_blocks.begin(pb);
      for (; p + 4 <= k_blocks.end(pb); p += 4)
        add_rows<T, 4>(a + p * step, step, b + p * t.ldb + first, t.ldb, columns, sums);
      for (; p < k_blocks.end(pb); ++p)
        add_rows<T, 1>(a + p * step, step, b + p * t.ldb + first, t.ldb, columns, sums);
      for (std::int64_t j = 0; j < columns; j += lanes) {
        T* const at = c + first + j;
        const auto sum = hn::Load(d, sums + j);
        const bool add = t.accumulate || pb > 0;
        store_some(add ? hn::Add(load_some(d, at, columns - j), sum) : sum, d, at, columns - j);
      }
    }
  }
}

/// A row times a transposed matrix: dot products, eight at a time.
template <class T>
void row_by_rows(const GemmTile& t, const T* a, const T* b, T* c) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  constexpr auto lanes = std::int64_t(hn::MaxLanes(hn::ScalableTag<T>()));
  constexpr std::int64_t kRows = 8, kTerms = 1024;
  T dense[kTerms];
  for (std::int64_t k0 = 0; k0 < t.k; k0 += kTerms) {
    const std::int64_t k = std::min(kTerms, t.k - k0);
    const T* left = a + k0;
    if (t.transpose_a && t.lda != 1) {
      for (std::int64_t p = 0; p < k; ++p) dense[p] = a[(k0 + p) * t.lda];
      left = dense;
    }
    for (std::int64_t j = 0; j < t.n; j += kRows) {
      const std::int64_t rows = std::min(kRows, t.n - j);
      const T* row[kRows];
      for (std::int64_t r = 0; r < kRows; ++r) row[r] = b + (j + std::min(r, rows - 1)) * t.ldb + k0;
      V sum[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r] = hn::Zero(d);
      std::int64_t p = 0;
      for (; p + lanes <= k; p += lanes) {
        const V x = hn::LoadU(d, left + p);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) sum[r] = hn::MulAdd(x, hn::LoadU(d, row[r] + p), sum[r]);
      }
      if (p < k) {
        const V x = load_first(d, left + p, k - p);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) sum[r] = hn::MulAdd(x, load_first(d, row[r] + p, k - p), sum[r]);
      }
      T results[kRows];
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) results[r] = hn::GetLane(hn::SumOfLanes(d, sum[r]));
      for (std::int64_t r = 0; r < rows; ++r)
        c[j + r] = t.accumulate || k0 > 0 ? c[j + r] + results[r] : results[r];
    }
  }
}

template <class T>
void row(const GemmTile& t, const T* a, const T* b, T* c) {
  t.transpose_b ? row_by_rows(t, a, b, c) : row_by_matrix(t, a, b, c);
}

#else

template <class T>
void row(const GemmTile& t, const T* a, const T* b, T* c) {
  blas_product(t, a, b, c);
}

#endif

void row_f32(const GemmTile& t, const float* a, const float* b, float* c) { row(t, a, b, c); }
void row_f64(const GemmTile& t, const double* a, const double* b, double* c) { row(t, a, b, c); }

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(row_f32);
HWY_EXPORT(row_f64);

template <>
void row_product(const GemmTile& t, const float* a, const float* b, float* c) {
  HWY_DYNAMIC_DISPATCH(row_f32)(t, a, b, c);
}
template <>
void row_product(const GemmTile& t, const double* a, const double* b, double* c) {
  HWY_DYNAMIC_DISPATCH(row_f64)(t, a, b, c);
}

}  // namespace tapestry::kernels
#endif
