#include <tapestry/core/registry.hpp>
#include <tapestry/ops/axes.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/kernels/movement.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace tapestry {
namespace {

using V = const Vjp&;

// --- slice ---

/// For each axis 0 <= start <= stop <= extent, where stop - 1 is the last element taken.
struct SliceAttrs {
  Shape start, stop, step;
  void fields(FieldVisitor& f) const {
    f("start", start);
    f("stop", stop);
    f("step", step);
  }
  bool operator==(const SliceAttrs&) const = default;
};

std::int64_t taken(const SliceAttrs& a, int axis) {
  return (a.stop[axis] - a.start[axis] + a.step[axis] - 1) / a.step[axis];
}

/// One form for all ranges that take the same elements.
Range normalized(const Range& range, std::int64_t extent) {
  require_type(range.step > 0, "the step ", range.step, " isn't positive");
  const auto bound = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + extent : at, 0, extent);
  };
  const std::int64_t start = bound(range.start), stop = bound(range.stop);
  if (stop <= start) return {0, 0, 1};
  const std::int64_t last = start + (stop - start - 1) / range.step * range.step;
  return {start, last + 1, last == start ? 1 : range.step};
}

SliceAttrs normalized(std::span<const Range> ranges, const Shape& shape) {
  require_type(ranges.size() <= shape.size(), ranges.size(), " ranges are more than it has axes");
  SliceAttrs attrs;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const Range given = axis < int(ranges.size()) ? ranges[std::size_t(axis)] : Range();
    const Range range = normalized(given, shape[axis]);
    attrs.start.push_back(range.start);
    attrs.stop.push_back(range.stop);
    attrs.step.push_back(range.step);
  }
  return attrs;
}

/// The cotangent goes back between zeros: as many before, after and in between as the slice left out.
Var slice_vjp(V v) {
  const auto& [start, stop, step] = v.attrs.as<SliceAttrs>();
  Shape after = stop, between = step;
  for (int i = 0; i < stop.rank(); ++i) {
    after[i] = v.a().shape()[i] - stop[i];
    between[i] = step[i] - 1;
  }
  return pad(v.g, start, after, 0, between);
}

/// The first element taken, if those between it and the last are taken too, each right after the one before.
std::optional<std::int64_t> run_of_slice(const Type& x, const Attrs& attrs) {
  const auto& a = attrs.as<SliceAttrs>();
  std::int64_t first = 0, stride = 1;
  bool whole = true;  // all axes so far
  for (int axis = x.shape.rank() - 1; axis >= 0; stride *= x.shape[axis--]) {
    const std::int64_t count = taken(a, axis);
    if ((count != 1 && !whole) || a.step[axis] != 1) return std::nullopt;
    whole = whole && count == x.shape[axis];
    first += a.start[axis] * stride;
  }
  return first;
}

constexpr Op kSlice{.name = "slice",
                    .arity = 1,
                    .type =
                        [](const Signature& s) {
                          Type type = s.x[0];
                          const auto& attrs = s.attrs.as<SliceAttrs>();
                          for (int i = 0; i < type.shape.rank(); ++i) type.shape[i] = taken(attrs, i);
                          return type;
                        },
                    .vjp = {slice_vjp},
                    .simplify = [](const Call& c) -> std::optional<Var> {
                      const auto& attrs = c.attrs.as<SliceAttrs>();
                      for (int i = 0; i < c.x[0].rank(); ++i) {
                        if (taken(attrs, i) != c.x[0].shape()[i]) return std::nullopt;
                      }
                      return c.x[0];
                    },
                    .kernel =
                        [](const KernelCall& c) {
                          const auto& attrs = c.attrs.as<SliceAttrs>();
                          kernels::slice(c.x[0], attrs.start, attrs.step, c.y);
                        },
                    .run_of = run_of_slice};

// --- pad ---

struct PadAttrs {
  Shape lo, hi, interior;
  double value;
  void fields(FieldVisitor& f) const {
    f("lo", lo);
    f("hi", hi);
    f("interior", interior);
    f("value", value);
  }
  bool operator==(const PadAttrs&) const = default;
};

std::int64_t spread(std::int64_t extent, std::int64_t interior) {
  return extent + std::max<std::int64_t>(extent - 1, 0) * interior;
}

/// Along an axis, before, behind or between: few enough for their sum with an extent not to wrap around.
constexpr std::int64_t kMostPadding = std::int64_t{1} << 48;

Type pad_type(const Signature& s) {
  const auto& [lo, hi, interior, value] = s.attrs.as<PadAttrs>();
  Type type = s.x[0];
  for (const Shape* counts : {&lo, &hi, &interior}) {
    require_type(counts->rank() == type.shape.rank(), "padding ", *counts, " doesn't fit its axes");
    require_type(std::ranges::none_of(*counts, [](std::int64_t n) { return n > kMostPadding; }), "padding ",
                 *counts, " is more than 2^48");
    require_type(std::ranges::none_of(*counts, [](std::int64_t n) { return n < 0; }), "padding ", *counts,
                 " is negative");
  }
  require_type(is_floating(type.dtype) || std::nearbyint(value) == value, value, " is no ",
               name_of(type.dtype));
  for (int i = 0; i < type.shape.rank(); ++i) {
    require_type(interior[i] == 0 || type.shape[i] - 1 <= kMostPadding / interior[i], "padding ", interior,
                 " between ", type.shape, " elements is more than 2^48");
    type.shape[i] = lo[i] + spread(type.shape[i], interior[i]) + hi[i];
  }
  return type;
}

Var pad_vjp(V v) {
  const auto& [lo, hi, interior, value] = v.attrs.as<PadAttrs>();
  std::vector<Range> ranges;
  for (int i = 0; i < lo.rank(); ++i) {
    ranges.push_back({lo[i], lo[i] + spread(v.a().shape()[i], interior[i]), interior[i] + 1});
  }
  return slice(v.g, ranges);
}

constexpr Op kPad{.name = "pad",
                  .arity = 1,
                  .type = pad_type,
                  .vjp = {pad_vjp},
                  .simplify = [](const Call& c) -> std::optional<Var> {
                    const auto& attrs = c.attrs.as<PadAttrs>();
                    for (int i = 0; i < c.x[0].rank(); ++i) {
                      const std::int64_t extent = c.x[0].shape()[i];
                      if (attrs.lo[i] + attrs.hi[i] + spread(extent, attrs.interior[i]) != extent)
                        return std::nullopt;
                    }
                    return c.x[0];
                  },
                  .kernel =
                      [](const KernelCall& c) {
                        const auto& attrs = c.attrs.as<PadAttrs>();
                        visit_dtype(c.y.type.dtype, [&](auto t) {
                          const auto value = decltype(t)(attrs.value);
                          kernels::pad(c.x[0], &value, attrs.lo, attrs.interior, c.y);
                        });
                      }};

// --- pad_reflect: the elements, picked along one axis after the other ---

struct ReflectAttrs {
  Shape lo, hi;
  void fields(FieldVisitor& f) const {
    f("lo", lo);
    f("hi", hi);
  }
  bool operator==(const ReflectAttrs&) const = default;
};

Type pad_reflect_type(const Signature& s) {
  const auto& [lo, hi] = s.attrs.as<ReflectAttrs>();
  Type type = s.x[0];
  for (const Shape* counts : {&lo, &hi}) {
    require_type(counts->rank() == type.shape.rank(), "padding ", *counts, " doesn't fit its axes");
    for (int i = 0; i < type.shape.rank(); ++i) {
      const std::int64_t count = (*counts)[i];
      require_type(count >= 0, "padding ", *counts, " is negative");
      require_type(count == 0 || count < type.shape[i], "axis ", i, " has only ", type.shape[i],
                   " elements, too few to mirror ", count);
    }
  }
  for (int i = 0; i < type.shape.rank(); ++i) type.shape[i] += lo[i] + hi[i];
  return type;
}

Var expand_pad_reflect(const Call& c) {
  const auto& [lo, hi] = c.attrs.as<ReflectAttrs>();
  Var y = c.x[0];
  for (int axis = 0; axis < lo.rank(); ++axis) {
    if (lo[axis] == 0 && hi[axis] == 0) continue;
    const std::int64_t extent = c.x[0].shape()[axis];
    std::vector<std::int64_t> shown;
    for (std::int64_t i = -lo[axis]; i < extent + hi[axis]; ++i) {
      shown.push_back(i < 0 ? -i : i < extent ? i : 2 * (extent - 1) - i);
    }
    y = take(y, Tensor::from(shown, {std::int64_t(shown.size())}), axis);
  }
  return y;
}

constexpr Op kPadReflect{
    .name = "pad_reflect", .arity = 1, .type = pad_reflect_type, .expand = expand_pad_reflect};

// --- concat and stack ---

struct AxisAttrs {
  int axis;
  void fields(FieldVisitor& f) const { f("axis", axis); }
  bool operator==(const AxisAttrs&) const = default;
};

Type concat_type(const Signature& s) {
  const int axis = s.attrs.as<AxisAttrs>().axis;
  Type type = s.x[0];
  for (const Type& part : s.x.subspan(1)) {
    require_type(part.dtype == type.dtype, "dtypes differ");
    require_type(part.shape.rank() == type.shape.rank(), "ranks differ");
    for (int i = 0; i < type.shape.rank(); ++i) {
      require_type(i == axis || part.shape[i] == type.shape[i], "extents differ along axis ", i);
    }
    type.shape[axis] += part.shape[axis];
  }
  return type;
}

constexpr Op kConcat{
    .name = "concat",
    .arity = kVariadic,
    .type = concat_type,
    .vjp_each =
        [](V v, int input) {
          const int axis = v.attrs.as<AxisAttrs>().axis;
          std::int64_t start = 0;
          for (int i = 0; i < input; ++i) start += v.x[std::size_t(i)].shape()[axis];
          return slice(v.g, axis, start, start + v.x[std::size_t(input)].shape()[axis]);
        },
    .simplify = [](const Call& c) -> std::optional<Var> {
      if (c.x.size() == 1) return c.x[0];
      return std::nullopt;
    },
    .kernel = [](const KernelCall& c) { kernels::concat(c.x, c.attrs.as<AxisAttrs>().axis, c.y); }};

constexpr Op kStack{
    .name = "stack",
    .arity = kVariadic,
    .type =
        [](const Signature& s) {
          for (const Type& part : s.x) {
            require_type(part.dtype == s.x[0].dtype, "dtypes differ");
            require_type(part.shape == s.x[0].shape, "shapes differ");
          }
          require_type(s.x[0].shape.rank() < kMaxRank, "a shape has at most ", kMaxRank, " axes");
          const int axis = s.attrs.as<AxisAttrs>().axis;
          Type type{s.x[0].dtype, {}};
          for (int i = 0; i <= s.x[0].shape.rank(); ++i) {
            type.shape.push_back(i == axis ? std::int64_t(s.x.size()) : s.x[0].shape[i - (i > axis)]);
          }
          return type;
        },
    .expand =
        [](const Call& c) {
          const int axis = c.attrs.as<AxisAttrs>().axis;
          std::vector<Operand> parts;
          for (const Var& part : c.x) parts.push_back(expand_dims(part, {axis}));
          return concat(parts, axis);
        }};

std::vector<Operand> operands_at(std::span<const Var> parts, Location at) {
  std::vector<Operand> operands;
  for (const Var& part : parts) operands.emplace_back(part, at);
  return operands;
}

}  // namespace

Var slice(const Operand& x, std::span<const Range> ranges) {
  return emit_with(kSlice, {x}, [&](std::span<const Var> v) { return normalized(ranges, v[0].shape()); });
}

Var slice(const Operand& x, std::initializer_list<Range> ranges) {
  return slice(x, std::span(ranges.begin(), ranges.size()));
}

Var slice(const Operand& x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step) {
  return emit_with(kSlice, {x}, [&](std::span<const Var> v) {
    std::vector<Range> ranges(v[0].shape().size());
    ranges.at(std::size_t(rules::checked_axis(axis, v[0].rank()))) = {start, stop, step};
    return normalized(ranges, v[0].shape());
  });
}

Var pad(const Operand& x, const Shape& lo, const Shape& hi, double value, const Shape& interior) {
  return emit_with(kPad, {x}, [&](std::span<const Var> v) {
    return PadAttrs{lo, hi, interior.empty() ? Shape::filled(v[0].rank(), 0) : interior, value};
  });
}

Var pad_reflect(const Operand& x, const Shape& lo, const Shape& hi) {
  return emit(kPadReflect, {x}, ReflectAttrs{lo, hi});
}

Var concat(std::span<const Operand> parts, int axis) {
  return emit_with(kConcat, parts,
                   [&](std::span<const Var> v) { return AxisAttrs{rules::checked_axis(axis, v[0].rank())}; });
}
Var concat(std::initializer_list<Operand> parts, int axis) {
  return concat(std::span(parts.begin(), parts.size()), axis);
}
Var concat(std::span<const Var> parts, int axis, Location at) { return concat(operands_at(parts, at), axis); }

Var stack(std::span<const Operand> parts, int axis) {
  return emit_with(kStack, parts, [&](std::span<const Var> v) {
    return AxisAttrs{rules::checked_axis(axis, v[0].rank() + 1)};
  });
}
Var stack(std::initializer_list<Operand> parts, int axis) {
  return stack(std::span(parts.begin(), parts.size()), axis);
}
Var stack(std::span<const Var> parts, int axis, Location at) { return stack(operands_at(parts, at), axis); }

void register_slice(Registry& registry) {
  for (const Op* op : {&kSlice, &kPad, &kPadReflect, &kConcat, &kStack}) registry.add(*op);
}

}  // namespace tapestry
