// Ops that cut values into parts and put parts together.
#pragma once

#include <tapestry/core/tape.hpp>

#include <initializer_list>
#include <limits>
#include <span>

namespace tapestry {

class Registry;

/// start:stop:step of one axis as in NumPy: negative bounds count from the end, those outside are clipped.
/// The step is positive; flip() reverses.
struct Range {
  static constexpr std::int64_t end = std::numeric_limits<std::int64_t>::max();
  std::int64_t start = 0;
  std::int64_t stop = end;
  std::int64_t step = 1;
};

/// A range of each axis, axes without one in full: slice(x, {{0, 10}, {}, {0, Range::end, 2}}) is
/// x[0:10, :, ::2].
Var slice(const Operand& x, std::initializer_list<Range> ranges);
Var slice(const Operand& x, std::span<const Range> ranges);
/// A range of one axis.
Var slice(const Operand& x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step = 1);

/// `lo` elements of `value` before and `hi` after the elements of each axis, and `interior` between each two.
Var pad(const Operand& x, const Shape& lo, const Shape& hi, double value = 0, const Shape& interior = {});
/// What lies outside mirrors what lies inside, the border not repeated: 3 2 | 1 2 3 | 2 1. Axes take at most
/// their extent - 1 on either side.
Var pad_reflect(const Operand& x, const Shape& lo, const Shape& hi);

/// One after the other along an axis that they have. The other extents are equal.
Var concat(std::initializer_list<Operand> parts, int axis);
Var concat(std::span<const Operand> parts, int axis);
Var concat(std::span<const Var> parts, int axis, Location at = Location::current());
/// Side by side along a new axis of the result. All shapes are equal.
Var stack(std::initializer_list<Operand> parts, int axis);
Var stack(std::span<const Operand> parts, int axis);
Var stack(std::span<const Var> parts, int axis, Location at = Location::current());

void register_slice(Registry& registry);

}  // namespace tapestry
