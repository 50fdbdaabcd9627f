#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/axes.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/kernels/gather.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>

namespace tapestry {
namespace {

using V = const Vjp&;

constexpr std::string_view kIndices = "indices are integers";

// --- take and scatter_add, each the other's adjoint ---

struct IndexAttrs {
  int axis;
  void fields(FieldVisitor& f) const { f("axis", axis); }
  bool operator==(const IndexAttrs&) const = default;
};

/// `shape` with an axis replaced by the axes of `indices`.
Shape taken(const Shape& shape, const Type& indices, int axis) {
  require_type(indices.dtype == DType::i32 || indices.dtype == DType::i64, "indices are i32 or i64, not ",
               name_of(indices.dtype));
  require_type(shape.rank() - 1 + indices.shape.rank() <= kMaxRank, "a shape has at most ", kMaxRank,
               " axes");
  Shape out;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i != axis) {
      out.push_back(shape[i]);
    } else {
      for (const std::int64_t extent : indices.shape) out.push_back(extent);
    }
  }
  return out;
}

int axis_of(const Attrs& attrs) { return attrs.as<IndexAttrs>().axis; }

Var zeros(Tape& tape, const Type& type) { return broadcast_to(tape.constant(0.0, type.dtype), type.shape); }

constexpr Op kTake{
    .name = "take",
    .arity = 2,
    .type =
        [](const Signature& s) {
          return Type{s.x[0].dtype, taken(s.x[0].shape, s.x[1], axis_of(s.attrs))};
        },
    .vjp = {[](V v) { return scatter_add(zeros(v.g.tape(), v.a().type()), v.b(), v.g, axis_of(v.attrs)); }},
    .no_gradient = kIndices,
    .kernel = [](const KernelCall& c) { kernels::take(c.x[0], axis_of(c.attrs), c.x[1], c.y); },
    .can_fail = true};

constexpr Op kScatterAdd{
    .name = "scatter_add",
    .arity = 3,
    .type =
        [](const Signature& s) {
          require_type(s.x[0].dtype == s.x[2].dtype, "dtypes of base and updates differ");
          require_type(s.x[0].dtype != DType::boolean, "booleans don't add");
          const Shape expected = taken(s.x[0].shape, s.x[1], axis_of(s.attrs));
          require_type(s.x[2].shape == expected, "the updates must be ", expected);
          return s.x[0];
        },
    .vjp = {[](V v) { return v.g; }, nullptr, [](V v) { return take(v.g, v.b(), axis_of(v.attrs)); }},
    .no_gradient = kIndices,
    .kernel =
        [](const KernelCall& c) { kernels::scatter_add(c.x[0], axis_of(c.attrs), c.x[1], c.x[2], c.y); },
    .can_fail = true};

// --- one_hot ---

struct OneHotAttrs {
  std::int64_t classes;
  DType dtype;
  void fields(FieldVisitor& f) const {
    f("classes", classes);
    f("dtype", dtype);
  }
  bool operator==(const OneHotAttrs&) const = default;
};

Type one_hot_type(const Signature& s) {
  const auto& [classes, dtype] = s.attrs.as<OneHotAttrs>();
  require_type(is_integer(s.x[0].dtype), "indices are integers, not ", name_of(s.x[0].dtype));
  require_type(classes >= 0, "there can't be ", classes, " classes");
  require_type(s.x[0].shape.rank() < kMaxRank, "a shape has at most ", kMaxRank, " axes");
  Type type{dtype, s.x[0].shape};
  type.shape.push_back(classes);
  return type;
}

Var expand_one_hot(const Call& c) {
  const auto& [classes, dtype] = c.attrs.as<OneHotAttrs>();
  // In the registers that the result is used in, where they hold every class, so that the loops can be one.
  const bool exact = is_floating(dtype) && classes <= (1 << 24);
  const DType common = !exact ? DType::i64 : dtype == DType::f64 ? DType::f64 : DType::f32;
  const Var positions = iota(c.x[0].tape(), common, {classes});
  return cast(equal(cast(expand_dims(c.x[0], {-1}), common), positions), dtype);
}

constexpr Op kOneHot{
    .name = "one_hot", .arity = 1, .type = one_hot_type, .expand = expand_one_hot, .no_gradient = kIndices};

}  // namespace

Var take(const Operand& x, const Operand& indices, int axis) {
  return emit_with(kTake, {x, indices}, [&](std::span<const Var> v) {
    return IndexAttrs{rules::checked_axis(axis, v[0].rank())};
  });
}

Var scatter_add(const Operand& base, const Operand& indices, const Operand& updates, int axis) {
  return emit_with(kScatterAdd, {base, indices, updates}, [&](std::span<const Var> v) {
    return IndexAttrs{rules::checked_axis(axis, v[0].rank())};
  });
}

Var one_hot(const Operand& indices, std::int64_t classes, DType dtype) {
  return emit(kOneHot, {indices}, OneHotAttrs{classes, dtype});
}

void register_indexing(Registry& registry) {
  for (const Op* op : {&kTake, &kScatterAdd, &kOneHot}) registry.add(*op);
}

}  // namespace tapestry
