// The inner functions of a fused loop, compiled for several instruction sets and chosen at run time for this
// CPU. A block is a dense run of elements of the lane's type.
#pragma once

#include <tapestry/ops/kernels/loop.hpp>

#include <cstddef>
#include <cstdint>

namespace tapestry::kernels {

/// Bytes of the widest vector; a scalar operand is repeated to fill as many.
inline constexpr std::int64_t kVectorBytes = 64;

/// An instruction's operand: a block (step 1), or one vector's worth of the same value (step 0).
struct Source {
  const void* data;
  std::int64_t step;
};

/// One instruction over a block. `out` may be one of the operands.
using Sweep = void (*)(const Source* operands, void* out, std::int64_t count);
/// Null if the lane doesn't have the code.
Sweep find_sweep(Lane lane, Code code);

/// Two instructions in one pass: outer(inner(a, b), c), or outer(c, inner(a, b)) if the inner one's result is
/// the second operand. Unary ones: outer(inner(a), b), outer(inner(a, b)). The same bits as one after the
/// other. Null if there is no such pass.
Sweep find_pair(Lane lane, Code inner, Code outer, bool second);
/// Three instructions in one pass: outer(left(a, b), right(c, d)).
Sweep find_tree(Lane lane, Code left, Code right, Code outer);

/// Converts rows of strided elements to a block, or a block to rows. Strides are in elements.
using Load = void (*)(const void* from, std::int64_t row_stride, std::int64_t stride, std::int64_t rows,
                      std::int64_t columns, void* block);
using Store = void (*)(const void* block, void* to, std::int64_t row_stride, std::int64_t stride,
                       std::int64_t rows, std::int64_t columns);
Load find_load(Lane lane, DType dtype);
Store find_store(Lane lane, DType dtype);

/// Copies past the caches, which what comes next would only push out of them. flush() before others read it.
using Stream = void (*)(const void* from, void* to, std::int64_t bytes);
Stream find_stream();
void flush_streams();

/// Writes first + row * row_stride + column * stride.
using Iota = void (*)(std::int64_t first, std::int64_t row_stride, std::int64_t stride, std::int64_t rows,
                      std::int64_t columns, void* block);
Iota find_iota(Lane lane);

/// How values are gathered into accumulators, one for each position that a reduction keeps. A sum of f32 is
/// held in f64; a sum of f64 as a sum and what rounding lost of it, `plane` positions further on; squared
/// deviations with what it takes to move them to another mean.
struct Reducer {
  std::int64_t bytes;   ///< an accumulator takes in each plane
  std::int64_t planes;  ///< 1 to kMostPlanes
  void (*clear)(void* accumulators, std::int64_t count, std::int64_t plane);
  /// accumulators[row] gathers a row of the block.
  void (*by_rows)(const void* block, std::int64_t rows, std::int64_t columns, void* accumulators,
                  std::int64_t plane);
  /// accumulators[column] gathers a column of the block.
  void (*by_columns)(const void* block, std::int64_t rows, std::int64_t columns, void* accumulators,
                     std::int64_t plane);
  /// accumulators[i] gathers others[i].
  void (*combine)(void* accumulators, const void* others, std::int64_t count, std::int64_t plane);
  /// The results as a block.
  void (*finish)(const void* accumulators, std::int64_t count, std::int64_t plane, void* block);
  /// Before all accumulators are combined or finished, if they gather in runs.
  void (*flush)(void* accumulators, std::int64_t count) = nullptr;
};
const Reducer& find_reducer(Lane lane, Reduce reduce);
inline constexpr std::int64_t kMostPlanes = 9;

/// Accumulators of squared deviations know the sum, too: `sum` gathers nothing and finishes it from them.
struct MomentReducers {
  Reducer squared_deviations, sum;
};
/// For lanes of f32 and f64.
const MomentReducers& find_moments(Lane lane);

}  // namespace tapestry::kernels
