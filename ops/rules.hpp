// What the families share: type rules and the loops of pointwise ops.
#pragma once

#include <tapestry/core/op.hpp>
#include <tapestry/ops/kernels/loop.hpp>

namespace tapestry::rules {

/// The type of the first operand.
Type same(const Signature& s);
/// Equal dtypes, broadcast shapes.
Type broadcast(const Signature& s);
/// The same, for floating dtypes only.
Type floating(const Signature& s);
/// The same, for any numbers but not bool.
Type numeric(const Signature& s);
/// The same, for bool only.
Type logical(const Signature& s);
/// bool of the broadcast shape.
Type compare(const Signature& s);

/// A number of x's dtype: where every operand is a number, or the others are conditions.
Var number(const Var& x, double value);

/// The registers in which a value of `dtype` is computed.
kernels::Lane lane_of(DType dtype);

/// The loop of one pointwise instruction, operands broadcast to y.
kernels::Loop pointwise_loop(kernels::Code code, std::span<const Type> x, const Type& y);
template <kernels::Code code>
kernels::Loop pointwise(std::span<const Type> x, const Type& y, const Attrs&) {
  return pointwise_loop(code, x, y);
}
/// Strides that read a row-major tensor of shape `from` broadcast to `to`.
Shape broadcast_strides(const Shape& from, const Shape& to);

}  // namespace tapestry::rules
