#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <algorithm>
#include <limits>

#include <cblas.h>

namespace tapestry::kernels {
namespace {

void prepare_blas() {
  static const bool done = [] {
    openblas_set_num_threads(1);  // the tiles are the threads' work; more inside a tile would only compete
    return true;
  }();
  static_cast<void>(done);
}

void blas_gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
               const float* b, int ldb, float beta, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
void blas_gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a, int lda,
               const double* b, int ldb, double beta, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}
void blas_gemv(CBLAS_TRANSPOSE ta, int rows, int columns, const float* a, int lda, const float* x, int incx,
               float beta, float* y, int incy) {
  cblas_sgemv(CblasRowMajor, ta, rows, columns, 1, a, lda, x, incx, beta, y, incy);
}
void blas_gemv(CBLAS_TRANSPOSE ta, int rows, int columns, const double* a, int lda, const double* x, int incx,
               double beta, double* y, int incy) {
  cblas_dgemv(CblasRowMajor, ta, rows, columns, 1, a, lda, x, incx, beta, y, incy);
}

// How one product is cut: halved along its longer side while that pays. Each of p tiles must be worth 6(p-1)
// MFLOP: a small product in few tiles runs nearest to the machine's peak (100x500x3072 in 1, 2, 4, 8 tiles on
// a Zen 5: 200, 196, 192, 178 GFLOP/s a core), a large one has work for many cores. Tiles below 64 rows or
// 120 columns spend their time on packing: 100 rows in halves run at 165.
struct Grid {
  std::int64_t rows = 1, columns = 1;
};

constexpr std::int64_t kRowAlign = 8, kColumnAlign = 32;

Grid grid_of(const GemmShape& s) {
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

// The pieces of one side: `pieces` or fewer, cut at multiples of `align`.
Chunks cut(std::int64_t size, std::int64_t pieces, std::int64_t align) {
  return Chunks(size, (size + pieces - 1) / pieces, align);
}

}  // namespace

template <class T>
void gemm_tile(const GemmTile& t, const T* a, const T* b, T* c) {
  prepare_blas();
  if (t.m == 0 || t.n == 0) return;
  if (t.k == 0) {
    if (t.accumulate) return;
    for (std::int64_t row = 0; row < t.m; ++row) std::fill_n(c + row * t.ldc, t.n, T(0));
    return;
  }
  const int m = int(t.m), n = int(t.n), k = int(t.k), lda = int(t.lda), ldb = int(t.ldb), ldc = int(t.ldc);
  const T beta = t.accumulate ? 1 : 0;
  const auto ta = t.transpose_a ? CblasTrans : CblasNoTrans, tb = t.transpose_b ? CblasTrans : CblasNoTrans;
  // A product with a vector as gemm would first copy the whole matrix.
  if (n == 1) {
    const int rows = t.transpose_a ? k : m, columns = t.transpose_a ? m : k;
    blas_gemv(ta, rows, columns, a, lda, b, t.transpose_b ? 1 : ldb, beta, c, ldc);
  } else if (m == 1) {
    const int rows = t.transpose_b ? n : k, columns = t.transpose_b ? k : n;
    blas_gemv(t.transpose_b ? CblasNoTrans : CblasTrans, rows, columns, b, ldb, a, t.transpose_a ? lda : 1,
              beta, c, 1);
  } else {
    blas_gemm(ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc);
  }
}

template <class T>
void gemm(const GemmShape& shape, const T* a, const T* b, T* c) {
  GemmShape s = shape;
  if (s.m == 0 || s.n == 0 || s.batch == 0) return;
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  // One matrix on the right for a batch of contiguous ones on the left: their rows form one tall matrix.
  if (s.batch > 1 && s.stride_b == 0 && !s.transpose_a && s.stride_a == s.m * s.k && s.m * s.batch <= kMost) {
    s.m *= s.batch;
    s.batch = 1;
  }
  require(std::max({s.m, s.n, s.k}) <= kMost, "a product of [", s.m, ", ", s.k, "] and [", s.k, ", ", s.n,
          "] is too large: the limit is ", kMost, " rows or columns");
  const std::int64_t lda = s.transpose_a ? s.m : s.k, ldb = s.transpose_b ? s.k : s.n;
  const Grid grid = grid_of(s);
  const Chunks rows = cut(s.m, grid.rows, kRowAlign), columns = cut(s.n, grid.columns, kColumnAlign);
  const std::int64_t tiles = rows.count() * columns.count();

  const auto run = [&](std::int64_t item, std::int64_t tile) {
    const std::int64_t i = tile / columns.count(), j = tile % columns.count();
    const std::int64_t row = rows.begin(i), column = columns.begin(j);
    const GemmTile t{.m = rows.end(i) - row,
                     .n = columns.end(j) - column,
                     .k = s.k,
                     .transpose_a = s.transpose_a,
                     .transpose_b = s.transpose_b,
                     .lda = lda,
                     .ldb = ldb,
                     .ldc = s.n};
    gemm_tile(t, a + item * s.stride_a + row * (s.transpose_a ? 1 : lda),
              b + item * s.stride_b + column * (s.transpose_b ? ldb : 1),
              c + (item * s.m + row) * s.n + column);
  };
  if (tiles > 1) {
    parallel_for(s.batch * tiles, [&](std::int64_t index) { run(index / tiles, index % tiles); });
    return;
  }
  // Small items go in groups of some 4 MFLOP, 20 us and more of work.
  const double flops = 2.0 * double(s.m) * double(s.n) * double(s.k);
  const auto group = std::int64_t(std::clamp(4e6 / std::max(flops, 1e3), 1.0, 4096.0));
  parallel_ranges(s.batch, group, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) run(item, 0);
  });
}

template void gemm(const GemmShape&, const float*, const float*, float*);
template void gemm(const GemmShape&, const double*, const double*, double*);
template void gemm_tile(const GemmTile&, const float*, const float*, float*);
template void gemm_tile(const GemmTile&, const double*, const double*, double*);

}  // namespace tapestry::kernels
