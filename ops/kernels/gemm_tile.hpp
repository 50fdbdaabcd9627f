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

/// What a block of A and a panel of B are packed into: a quarter of a 1 MiB L2 cache, and what the first
/// cache holds.
inline constexpr std::size_t kPackedA = std::size_t{256} << 10, kPackedB = std::size_t{32} << 10;

/// How one product is cut into tiles.
struct Grid {
  std::int64_t rows = 1, columns = 1;
};

/// Whether this CPU has the vectors that our kernels are made for.
bool has_kernels();

/// Whether packing would not pay: the operands fit into the first caches, or have too few rows or columns to
/// be read more than once. Then so it is for every part of the product.
bool is_direct(std::int64_t m, std::int64_t n, std::int64_t k);

/// op(A) packed as a whole, for tiles on several threads.
struct LeftSize {
  std::int64_t panels = 0;     // that its rows are cut into
  std::size_t term_bytes = 0;  // of all rows, for one k
};

template <class T>
struct TileKernels {
  /// `packed` has kPackedA + kPackedB bytes, 64-byte aligned, or is null, which is slower unless is_direct();
  /// k > 0.
  void (*product)(const GemmTile& tile, const T* a, const T* b, T* c, std::byte* packed);

  /// The rest is for has_kernels() alone.
  LeftSize (*left_size)(std::int64_t m);
  /// Packs pieces [begin, end) of op(A), each a panel of kSumBlock terms at most; there are
  /// panels x ceil(k / kSumBlock). `left` has term_bytes x k, 64-byte aligned.
  void (*pack_left)(const GemmTile& tile, const T* a, std::int64_t begin, std::int64_t end, T* left);
  /// The rows of C in panels [first, last), of a tile whose op(A) is packed; tile.m is the number of all
  /// rows, and c is where row 0 is. `right` has kPackedB bytes, 64-byte aligned.
  void (*multiply_left)(const GemmTile& tile, const T* left, std::int64_t first, std::int64_t last,
                        const T* b, T* c, T* right);
};

/// For float and double.
template <class T>
const TileKernels<T>& tile_kernels();

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
