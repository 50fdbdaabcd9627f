#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>

#include <algorithm>
#include <limits>

#include <cblas.h>

namespace tapestry::kernels {
namespace {

void gemm_call(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
               const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
void gemm_call(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a, int lda,
               const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
void gemv_call(CBLAS_TRANSPOSE ta, int rows, int columns, const float* a, int lda, const float* x, int incx,
               float beta, float* y) {
  cblas_sgemv(CblasRowMajor, ta, rows, columns, 1, a, lda, x, incx, beta, y, 1);
}
void gemv_call(CBLAS_TRANSPOSE ta, int rows, int columns, const double* a, int lda, const double* x, int incx,
               double beta, double* y) {
  cblas_dgemv(CblasRowMajor, ta, rows, columns, 1, a, lda, x, incx, beta, y, 1);
}

}  // namespace

template <class T>
void blas_product(const GemmTile& t, const T* a, const T* b, T* c) {
  // The tiles are the threads' work; more threads inside a tile would only compete.
  [[maybe_unused]] static const bool once = (openblas_set_num_threads(1), true);
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  require(std::max({t.m, t.n, t.k, t.lda, t.ldb, t.ldc}) <= kMost, "a product of [", t.m, ", ", t.k,
          "] and [", t.k, ", ", t.n, "] is too large for OpenBLAS: the limit is ", kMost, " rows or columns");
  const int m = int(t.m), n = int(t.n), k = int(t.k), lda = int(t.lda), ldb = int(t.ldb);
  const T beta = t.accumulate ? 1 : 0;
  const auto ta = t.transpose_a ? CblasTrans : CblasNoTrans, tb = t.transpose_b ? CblasTrans : CblasNoTrans;
  if (m > 1) return gemm_call(ta, tb, m, n, k, a, lda, b, ldb, beta, c, int(t.ldc));
  // As gemm this would first copy the whole matrix.
  gemv_call(t.transpose_b ? CblasNoTrans : CblasTrans, t.transpose_b ? n : k, t.transpose_b ? k : n, b, ldb,
            a, t.transpose_a ? lda : 1, beta, c);
}

// Halved along the longer side while that pays. Each of p tiles must be worth 6(p-1) MFLOP: a small product
// in few tiles runs nearest to the machine's peak (100x500x3072 in 1, 2, 4, 8 tiles on a Zen 5: 200, 196,
// 192, 178 GFLOP/s a core), a large one has work for many cores. Tiles below 64 rows or 120 columns spend
// their time on packing, and from 8 rows or 32 columns on OpenBLAS has other kernels, with other bits.
Grid blas_grid(const GemmShape& s) {
  constexpr double kFlops = 6e6;
  constexpr std::int64_t kLeastRows = 64, kLeastColumns = 120;
  double flops = 2.0 * double(s.m) * double(s.n) * double(s.k) * double(s.batch);
  if (s.m == 1 || s.n == 1) flops *= 16;  // bound by memory, not arithmetic
  Grid grid;
  for (;;) {
    const std::int64_t tiles = 2 * s.batch * grid.rows * grid.columns;
    if (flops < kFlops * double(tiles) * double(tiles - 1)) return grid;
    const std::int64_t rows = s.m / (2 * grid.rows), columns = s.n / (2 * grid.columns);
    const bool cut_rows = rows >= kLeastRows, cut_columns = columns >= kLeastColumns;
    if (!cut_rows && !cut_columns) return grid;
    (cut_rows && (rows >= columns || !cut_columns) ? grid.rows : grid.columns) *= 2;
  }
}

template void blas_product(const GemmTile&, const float*, const float*, float*);
template void blas_product(const GemmTile&, const double*, const double*, double*);

}  // namespace tapestry::kernels
