// One matrix product on the calling thread. With AVX2 or AVX-512 it is ours: packed for large ones, straight
// from the operands for small ones. An element of C is then a sum over k in one fixed order, in blocks of
// kSumBlock, whichever way is taken and wherever C was cut into tiles; so cuts may be chosen freely.
// On other CPUs it is OpenBLAS's, whose order depends on the tile, so there cuts must follow from the shape.
#pragma once

#include <tapestry/ops/kernels/gemm.hpp>

#include <cstddef>

namespace tapestry::kernels {

/// Terms of a sum that are added up in a register before they are added to the result.
inline constexpr std::int64_t kSumBlock = 256;

/// What a block of A, and one of B, are packed into: about a quarter and half of a 1 MiB L2 cache.
inline constexpr std::size_t kPackedA = std::size_t{256} << 10, kPackedB = std::size_t{514} << 10;

/// How one product is cut into tiles.
struct Grid {
  std::int64_t rows = 1, columns = 1;
};

/// Whether this CPU has the vectors that our kernels are made for.
bool has_kernels();

/// Whether packing would not pay: the operands fit into the first caches, or have too few rows or columns to
/// be read more than once. Then so it is for every part of the product.
bool is_direct(std::int64_t m, std::int64_t n, std::int64_t k);

/// `packed` has kPackedA + kPackedB bytes, 64-byte aligned, or is null, which is slower unless is_direct();
/// k > 0.
template <class T>
void matrix_product(const GemmTile& tile, const T* a, const T* b, T* c, std::byte* packed);

/// For m = 1: as fast as the matrix can be read. k > 0.
template <class T>
void row_product(const GemmTile& tile, const T* a, const T* b, T* c);

/// Any product by one single-threaded call of OpenBLAS, for CPUs without kernels of ours; k > 0. Throws if it
/// cannot count that far: from 2^31 rows, columns or terms on.
template <class T>
void blas_product(const GemmTile& tile, const T* a, const T* b, T* c);

/// The cuts for blas_product: of the shape alone.
Grid blas_grid(const GemmShape& shape);

}  // namespace tapestry::kernels
