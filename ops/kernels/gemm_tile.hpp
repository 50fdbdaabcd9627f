// One matrix product on the calling thread: packed for large ones, straight from the operands for small ones.
// An element of C is a sum over k in one fixed order, in blocks of kSumBlock, whichever way is taken and
// wherever C was cut into tiles; so cuts may be chosen freely.
#pragma once

#include <tapestry/ops/kernels/gemm.hpp>

#include <cstddef>

namespace tapestry::kernels {

/// Terms of a sum that are added up in a register before they are added to the result.
inline constexpr std::int64_t kSumBlock = 256;

/// What packed_product packs a block of A, and one of B, into: about half and a quarter of a 1 MiB L2 cache.
inline constexpr std::size_t kPackedA = std::size_t{256} << 10, kPackedB = std::size_t{514} << 10;

/// Whether packing would not pay: the operands fit into the first caches, or have too few rows or columns to
/// be read more than once.
bool is_direct(const GemmTile& tile);

/// For any product, fast for those; k > 0.
template <class T>
void direct_product(const GemmTile& tile, const T* a, const T* b, T* c);

/// For m = 1: as fast as the matrix can be read. k > 0.
template <class T>
void row_product(const GemmTile& tile, const T* a, const T* b, T* c);

/// `packed` has kPackedA + kPackedB bytes, 64-byte aligned; k > 0.
template <class T>
void packed_product(const GemmTile& tile, const T* a, const T* b, T* c, std::byte* packed);

}  // namespace tapestry::kernels
