// Matrix products of row-major f32 and f64 matrices, by our own kernels where the CPU has AVX2 or AVX-512 and
// by OpenBLAS elsewhere. Large ones are cut into tiles for the threads, whose number changes no bit: with our
// kernels an element is a sum over k in an order that follows from k alone, wherever the product is cut, and
// with OpenBLAS the cuts follow from the shape alone. (The one exception to the first is a single row times a
// transposed matrix: as a part of a larger product it would be summed in another order. Products are never
// cut to that.)
#pragma once

#include <tapestry/core/dtype.hpp>

#include <cstddef>
#include <cstdint>

namespace tapestry::kernels {

/// C[b] = op(A[b]) op(B[b]) for each b in [0, batch): op(A) is [m, k], op(B) is [k, n], C is [m, n]; with
/// transpose_a A is stored as [k, m], with transpose_b B as [n, k].
struct GemmShape {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  std::int64_t batch = 1;
  /// Elements from one item of the batch to the next; 0 uses one matrix for all.
  std::int64_t stride_a = 0, stride_b = 0;
};

/// The same product, with one matrix on the right for a batch of contiguous ones on the left as one product:
/// their rows form one tall matrix.
GemmShape merged(GemmShape shape);

/// `c`, batch x m x n elements, is overwritten; it may hold anything before, and must not overlap the
/// operands. k = 0 gives zeros. T is float or double.
template <class T>
void gemm(const GemmShape& shape, const T* a, const T* b, T* c);

/// Makes the memory that this product of f32 or f64 packs its operands into, a piece for each thread that
/// there is now and one for all, so that it allocates nothing itself. All products of the process share it
/// and it stays. Returns its bytes, or 0 if the product needs none.
std::size_t reserve_for_gemm(const GemmShape& shape, DType dtype);

/// For those who take C some rows at a time, each while it is in cache: how many of about `bytes` bytes suit
/// this product and the threads that there are, or 0 if it should be made as a whole. With 0 bytes it is the
/// fewest that keep the bits.
std::int64_t rows_of_part(const GemmShape& shape, std::size_t bytes, DType dtype);

/// Rows [first, first + rows) of C on the calling thread, with the bits of gemm(); `c` is where they begin.
/// There is no batch.
template <class T>
void gemm_rows(const GemmShape& shape, std::int64_t first, std::int64_t rows, const T* a, const T* b, T* c);

/// One product on the calling thread, for kernels that are themselves parallel: C = op(A) op(B), or C +=
/// op(A) op(B) if `accumulate`. The leading dimensions are the elements from one stored row to the next.
struct GemmTile {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false, accumulate = false;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
};
/// One product of a batch, whole.
GemmTile tile_of(const GemmShape& shape);
template <class T>
void gemm_tile(const GemmTile& tile, const T* a, const T* b, T* c);

/// The same for kernels that call gemm_tile() for up to [m, n] results of k terms on each thread.
std::size_t reserve_for_gemm_tile(std::int64_t m, std::int64_t n, std::int64_t k);

}  // namespace tapestry::kernels
