#include <tapestry/core/registry.hpp>
#include <tapestry/ops/algebra.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/rules.hpp>

namespace tapestry {
namespace {

using kernels::Code;
using V = const Vjp&;

template <Code code>
constexpr Op to_bool(std::string_view name, int arity, Type (*type)(const Signature&),
                     bool commutative = false) {
  return {.name = name,
          .arity = arity,
          .type = type,
          .no_gradient = "the result is no number",
          .loop = rules::pointwise<code>,
          .pointwise = true,
          .commutative = commutative};
}

constexpr Op kEqual = to_bool<Code::eq>("equal", 2, rules::compare, true);
constexpr Op kNotEqual = to_bool<Code::ne>("not_equal", 2, rules::compare, true);
constexpr Op kLess = to_bool<Code::lt>("less", 2, rules::compare);
constexpr Op kLessEqual = to_bool<Code::le>("less_equal", 2, rules::compare);
constexpr Op kGreater = to_bool<Code::gt>("greater", 2, rules::compare);
constexpr Op kGreaterEqual = to_bool<Code::ge>("greater_equal", 2, rules::compare);
constexpr Op kAnd = to_bool<Code::logical_and>("logical_and", 2, rules::logical, true);
constexpr Op kOr = to_bool<Code::logical_or>("logical_or", 2, rules::logical, true);
constexpr Op kNot = to_bool<Code::logical_not>("logical_not", 1, rules::logical);
constexpr Op kIsFinite = to_bool<Code::is_finite>("is_finite", 1, [](const Signature& s) -> Type {
  return {DType::boolean, rules::numeric(s).shape};
});

Type where_type(const Signature& s) {
  require_type(s.x[0].dtype == DType::boolean, "the condition isn't bool");
  Type type = rules::broadcast({s.x.subspan(1), s.attrs});
  const auto shape = broadcast(s.x[0].shape, type.shape);
  require_type(shape.has_value(), "shapes can't be broadcast");
  type.shape = *shape;
  return type;
}

kernels::Loop where_loop(std::span<const Type> x, const Type& y, const Attrs&) {
  using kernels::Operand;
  kernels::Loop loop = rules::pointwise_loop(Code::select, x, y);
  // a select's condition comes last
  loop.code.front() = {Code::select, Operand::input(1), Operand::input(2), Operand::input(0)};
  return loop;
}

constexpr Op kWhere{
    .name = "where",
    .arity = 3,
    .type = where_type,
    .vjp = {nullptr, [](V v) { return where(v.a(), v.g, 0); }, [](V v) { return where(v.a(), 0, v.g); }},
    .no_gradient = "the condition is no number",
    .simplify = algebra::where,
    .loop = where_loop,
    .pointwise = true};

}  // namespace

Var equal(const Operand& a, const Operand& b) { return emit(kEqual, {a, b}); }
Var not_equal(const Operand& a, const Operand& b) { return emit(kNotEqual, {a, b}); }
Var less(const Operand& a, const Operand& b) { return emit(kLess, {a, b}); }
Var less_equal(const Operand& a, const Operand& b) { return emit(kLessEqual, {a, b}); }
Var greater(const Operand& a, const Operand& b) { return emit(kGreater, {a, b}); }
Var greater_equal(const Operand& a, const Operand& b) { return emit(kGreaterEqual, {a, b}); }
Var logical_and(const Operand& a, const Operand& b) { return emit(kAnd, {a, b}); }
Var logical_or(const Operand& a, const Operand& b) { return emit(kOr, {a, b}); }
Var logical_not(const Operand& x) { return emit(kNot, {x}); }
Var is_finite(const Operand& x) { return emit(kIsFinite, {x}); }
Var where(const Operand& condition, const Operand& a, const Operand& b) {
  return emit(kWhere, {condition, a, b});
}

void register_compare(Registry& registry) {
  for (const Op* op : {&kEqual, &kNotEqual, &kLess, &kLessEqual, &kGreater, &kGreaterEqual, &kAnd, &kOr,
                       &kNot, &kIsFinite, &kWhere}) {
    registry.add(*op);
  }
}

}  // namespace tapestry
