#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/algebra.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/kernels/arg_reduce.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <algorithm>

namespace tapestry {
namespace {

using V = const Vjp&;
using C = const Call&;

/// The axes are sorted, not negative and not repeated. Ops keep them, with extent 1; the functions reshape.
struct ReduceAttrs {
  Shape axes;
  void fields(FieldVisitor& f) const { f("axes", axes); }
  bool operator==(const ReduceAttrs&) const = default;
};

struct VarianceAttrs {
  Shape axes;
  double correction;
  void fields(FieldVisitor& f) const {
    f("axes", axes);
    f("correction", correction);
  }
  bool operator==(const VarianceAttrs&) const = default;
};

const Shape& axes_of(const Attrs& attrs) { return attrs.as<ReduceAttrs>().axes; }

Shape without(Shape shape, const Shape& axes) {
  for (const std::int64_t axis : axes) shape[int(axis)] = 1;
  return shape;
}

/// How many elements become one.
std::int64_t count(const Shape& shape, const Shape& axes) {
  std::int64_t n = 1;
  for (const std::int64_t axis : axes) n *= shape[int(axis)];
  return n;
}

template <class A>
Type reduced_floating(const Signature& s) {
  const Type type = rules::floating(s);
  return {type.dtype, without(type.shape, s.attrs.as<A>().axes)};
}

Type reduced(const Signature& s) {
  return {rules::numeric(s).dtype, without(s.x[0].shape, axes_of(s.attrs))};
}

Type reduced_logical(const Signature& s) {
  return {rules::logical(s).dtype, without(s.x[0].shape, axes_of(s.attrs))};
}

Type nonempty(const Signature& s) {
  require_type(count(s.x[0].shape, axes_of(s.attrs)) > 0, "there are no elements along axes ",
               axes_of(s.attrs));
  return reduced(s);
}

template <kernels::Reduce reduce>
kernels::Loop reduce_loop(std::span<const Type> x, const Type& y, const Attrs&) {
  const Type& from = x.front();
  return {.extents = from.shape,
          .lane = rules::lane_of(from.dtype),
          .inputs = {{from.dtype, strides_of(from.shape)}},
          .outputs = {
              {kernels::Operand::input(0), y.dtype, reduce, rules::broadcast_strides(y.shape, from.shape)}}};
}

// --- sums ---

Var sum_along(const Var& x, const Shape& axes);

/// Does x, broadcast to `shape`, repeat along these axes?
bool constant_along(const Var& x, const Shape& axes, const Shape& shape) {
  const int missing = shape.rank() - x.rank();
  return std::ranges::all_of(
      axes, [&](std::int64_t axis) { return axis < missing || x.shape()[int(axis) - missing] == 1; });
}

/// What doesn't change along the axes leaves the sum: sum(a * b) = sum(a) * b. It makes the derivative of a
/// normalisation two sums, as a careful hand would write it.
std::optional<Var> factored_sum(const Var& x, const Shape& axes) {
  const Shape shape = x.shape();
  if (without(shape, axes) == shape) return x;
  if (const auto inner = algebra::operand_of(x, "neg")) return -sum_along(*inner, axes);
  // A sum of nothing is 0, whatever it would be multiplied by.
  const bool of_nothing = std::ranges::any_of(axes, [&](std::int64_t axis) { return shape[int(axis)] == 0; });
  if (!is_floating(x.dtype()) || of_nothing) return {};
  for (const std::string_view op : {"mul", "div"}) {
    for (int i = 0; i < 2; ++i) {
      const auto a = algebra::operand_of(x, op, i);
      if (!a || (op == "div" && i == 1)) break;
      const Var b = *algebra::operand_of(x, op, 1 - i);
      if (a->shape() != shape || !constant_along(b, axes, shape)) continue;
      const Var rest = sum_along(*a, axes);
      return op == "mul" ? rest * b : rest / b;
    }
  }
  return {};
}

constexpr Op kSum{.name = "sum",
                  .type = reduced,
                  .vjp = {[](V v) { return v.g; }},  // the driver broadcasts it to x
                  .simplify = [](C c) { return factored_sum(c.x[0], axes_of(c.attrs)); },
                  .loop = reduce_loop<kernels::Reduce::sum>};

Var plain_sum(const Var& x, const Shape& axes) { return emit(kSum, {x}, ReduceAttrs{axes}); }

Var sum_along(const Var& x, const Shape& axes) {
  const auto simpler = factored_sum(x, axes);
  return simpler ? *simpler : plain_sum(x, axes);
}

constexpr Op kSumTo{.name = "sum_to",
                    .type =
                        [](const Signature& s) {
                          const Shape& shape = s.attrs.as<ShapeAttrs>().shape;
                          require_type(broadcast(shape, s.x[0].shape) == s.x[0].shape, shape,
                                       " can't be broadcast to it");
                          return Type{s.x[0].dtype, shape};
                        },
                    .expand =
                        [](C c) {
                          const Shape from = c.x[0].shape();
                          const Shape& to = c.attrs.as<ShapeAttrs>().shape;
                          const int extra = from.rank() - to.rank();
                          Shape axes;
                          for (int i = 0; i < from.rank(); ++i) {
                            if (i < extra || (to[i - extra] == 1 && from[i] != 1)) axes.push_back(i);
                          }
                          return reshape(plain_sum(c.x[0], axes), to);
                        }};

Var mean_along(const Var& x, const Shape& axes) { return plain_sum(x, axes) / count(x.shape(), axes); }

constexpr Op kMean{.name = "mean", .type = reduced_floating<ReduceAttrs>, .expand = [](C c) {
                     return mean_along(c.x[0], axes_of(c.attrs));
                   }};

/// The first half times the second, until one is left: log n products, none of which divides.
Var product(C c) {
  const Var& x = c.x[0];
  const Shape& axes = axes_of(c.attrs);
  const Shape kept = without(x.shape(), axes);
  std::int64_t n = count(x.shape(), axes);
  if (n == 0) return broadcast_to(rules::number(x, 1), kept);

  Shape order = axes;
  Shape rows{n};
  for (int i = 0; i < x.rank(); ++i) {
    if (std::ranges::find(axes, i) != axes.end()) continue;
    order.push_back(i);
    rows.push_back(x.shape()[i]);
  }
  Var left = reshape(permute(x, order), rows);
  std::optional<Var> odd;  // the product of those that had no partner
  for (; n > 1; n /= 2) {
    if (n % 2) {
      const Var last = slice(left, 0, n - 1, n);
      odd = odd ? *odd * last : last;
    }
    left = slice(left, 0, 0, n / 2) * slice(left, 0, n / 2, n / 2 * 2);
  }
  return reshape(odd ? left * *odd : left, kept);
}

constexpr Op kProd{.name = "prod", .type = reduced, .expand = product};

constexpr std::string_view kNoNumber = "the result is no number";

constexpr Op kAll{
    .name = "all",
    .type = reduced_logical,
    .expand =
        [](C c) { return equal(plain_sum(cast(logical_not(c.x[0]), DType::i64), axes_of(c.attrs)), 0); },
    .no_gradient = kNoNumber};

constexpr Op kAny{
    .name = "any",
    .type = reduced_logical,
    .expand = [](C c) { return not_equal(plain_sum(cast(c.x[0], DType::i64), axes_of(c.attrs)), 0); },
    .no_gradient = kNoNumber};

// --- extremes ---

/// The row-major positions within the axes, of extent 1 along the others.
Var positions(Tape& tape, const Shape& shape, const Shape& axes) {
  Var total = tape.constant(0, DType::i64);
  std::int64_t stride = 1;
  for (int k = axes.rank() - 1; k >= 0; --k) {
    const int axis = int(axes[k]);
    Shape line = Shape::filled(shape.rank(), 1);
    line[axis] = shape[axis];
    total = total + iota(tape, DType::i64, line, axis) * stride;
    stride *= shape[axis];
  }
  return total;
}

std::optional<Var> if_nothing_to_reduce(C c) {
  const Shape shape = c.x[0].shape();
  return without(shape, axes_of(c.attrs)) == shape ? std::optional(c.x[0]) : std::nullopt;
}

Type position_type(const Signature& s) { return {DType::i64, nonempty(s).shape}; }

template <auto kernel>
constexpr Op position(std::string_view name) {
  return {.name = name,
          .type = position_type,
          .no_gradient = "a position is no smooth number",
          .kernel = [](const KernelCall& c) { kernel(c.x[0], axes_of(c.attrs), c.y); }};
}

constexpr Op kArgmax = position<kernels::argmax>("argmax");
constexpr Op kArgmin = position<kernels::argmin>("argmin");

/// To the first of equals.
Var select_at(V v, const Op& arg) {
  const Var chosen = emit(arg, {v.a()}, v.attrs);
  return where(equal(positions(v.a().tape(), v.a().shape(), axes_of(v.attrs)), chosen), v.g, 0);
}

constexpr Op kMax{.name = "max",
                  .type = nonempty,
                  .vjp = {[](V v) { return select_at(v, kArgmax); }},
                  .simplify = if_nothing_to_reduce,
                  .loop = reduce_loop<kernels::Reduce::max>};
constexpr Op kMin{.name = "min",
                  .type = nonempty,
                  .vjp = {[](V v) { return select_at(v, kArgmin); }},
                  .simplify = if_nothing_to_reduce,
                  .loop = reduce_loop<kernels::Reduce::min>};

// --- of squares and exponentials ---

double freedom(const Var& x, const VarianceAttrs& a) {
  return std::max(0.0, double(count(x.shape(), a.axes)) - a.correction);
}

/// The root's derivative at 0 is infinite; that of what we take roots of is 0 there, and so is theirs.
Var root(const Var& x) {
  const Var positive = not_equal(x, 0);
  return where(positive, sqrt(where(positive, x, 1)), 0);
}

// The share of the mean, sum(x - mean), is 0: the derivative of the definition would compute it.
constexpr Op kSquaredDeviations{
    .name = "squared_deviations",
    .type = reduced_floating<ReduceAttrs>,
    .vjp = {[](V v) { return v.g * 2 * (v.a() - mean_along(v.a(), axes_of(v.attrs))); }},
    .loop = reduce_loop<kernels::Reduce::squared_deviations>};

/// Are they the last axes, and few elements? Such rows lie in the first cache, where each loop has them at
/// hand as often as it likes; longer ones and columns are best read once.
bool are_short_rows(const Var& x, const Shape& axes) {
  const Shape shape = x.shape(), kept = without(shape, axes);
  bool outer = false;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    if (shape[d] == 1) continue;
    if (outer && kept[d] == 1) return false;
    outer = outer || kept[d] != 1;
  }
  return std::size_t(count(shape, axes)) * size_of(x.dtype()) <= kernels::kMostRowBytes;
}

constexpr Op kVar{.name = "var",
                  .type = reduced_floating<VarianceAttrs>,
                  .expand =
                      [](C c) {
                        const auto& a = c.attrs.as<VarianceAttrs>();
                        const Var& x = c.x[0];
                        if (!are_short_rows(x, a.axes))
                          return emit(kSquaredDeviations, {x}, ReduceAttrs{a.axes}) / freedom(x, a);
                        const Var centred = x - mean_along(x, a.axes);
                        return plain_sum(centred * centred, a.axes) / freedom(x, a);
                      },
                  .vjp = {[](V v) {
                    const auto& a = v.attrs.as<VarianceAttrs>();
                    return v.g * (2 / freedom(v.a(), a)) * (v.a() - mean_along(v.a(), a.axes));
                  }}};

constexpr Op kStd{.name = "std", .type = reduced_floating<VarianceAttrs>, .expand = [](C c) {
                    return root(emit(kVar, {c.x[0]}, c.attrs));
                  }};

constexpr Op kNorm{.name = "norm", .type = reduced_floating<ReduceAttrs>, .expand = [](C c) {
                     return root(plain_sum(c.x[0] * c.x[0], axes_of(c.attrs)));
                   }};

constexpr Op kLogsumexp{.name = "logsumexp",
                        .type =
                            [](const Signature& s) {
                              rules::floating(s);
                              return nonempty(s);
                            },
                        .expand =
                            [](C c) {
                              const Var& x = c.x[0];
                              const Var top = stop_gradient(emit(kMax, {x}, c.attrs));
                              const Var shift = where(is_finite(top), top, 0);  // infinity - infinity is NaN
                              return log(plain_sum(exp(x - shift), axes_of(c.attrs))) + shift;
                            }};

template <class MakeAttrs>
Var reduce(const Op& op, const Operand& x, const Axes& axes, bool keep_dims, MakeAttrs make) {
  Shape chosen;
  const Var kept = emit_with(op, {x}, [&](std::span<const Var> v) -> Attrs {
    chosen = rules::checked_axes(axes, v[0].rank());
    return make(chosen);
  });
  if (keep_dims) return kept;
  Shape shape;
  for (int i = 0; i < kept.rank(); ++i) {
    if (std::ranges::find(chosen, i) == chosen.end()) shape.push_back(kept.shape()[i]);
  }
  return reshape({kept, x.at()}, shape);
}

Var reduce(const Op& op, const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce(op, x, axes, keep_dims, [](const Shape& chosen) { return ReduceAttrs{chosen}; });
}

Var reduce(const Op& op, const Operand& x, const Axes& axes, bool keep_dims, double correction) {
  return reduce(op, x, axes, keep_dims, [&](const Shape& chosen) {
    return VarianceAttrs{chosen, correction};
  });
}

}  // namespace

Var sum(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kSum, x, axes, keep_dims); }
Var sum_to(const Operand& x, const Shape& shape) { return emit(kSumTo, {x}, ShapeAttrs{shape}); }
Var mean(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kMean, x, axes, keep_dims); }
Var prod(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kProd, x, axes, keep_dims); }
Var max(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kMax, x, axes, keep_dims); }
Var min(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kMin, x, axes, keep_dims); }
Var argmax(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kArgmax, x, axes, keep_dims); }
Var argmin(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kArgmin, x, axes, keep_dims); }
Var all(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kAll, x, axes, keep_dims); }
Var any(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kAny, x, axes, keep_dims); }
Var norm(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kNorm, x, axes, keep_dims); }
Var logsumexp(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce(kLogsumexp, x, axes, keep_dims);
}
Var var(const Operand& x, const Axes& axes, bool keep_dims, double correction) {
  return reduce(kVar, x, axes, keep_dims, correction);
}
Var squared_deviations(const Operand& x, const Axes& axes, bool keep_dims) {
  return reduce(kSquaredDeviations, x, axes, keep_dims);
}
Var stddev(const Operand& x, const Axes& axes, bool keep_dims, double correction) {
  return reduce(kStd, x, axes, keep_dims, correction);
}

void register_reduce(Registry& registry) {
  for (const Op* op : {&kSum, &kSumTo, &kMean, &kProd, &kAll, &kAny, &kMax, &kMin, &kArgmax, &kArgmin,
                       &kSquaredDeviations, &kVar, &kStd, &kNorm, &kLogsumexp}) {
    registry.add(*op);
  }
}

}  // namespace tapestry
