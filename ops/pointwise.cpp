#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/algebra.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/rules.hpp>

#include <cmath>

namespace tapestry {
namespace {

using kernels::Code;
using V = const Vjp&;
using Rule = Var (*)(V);
using Simplify = std::optional<Var> (*)(const Call&);

template <Code code>
constexpr Op unary(std::string_view name, Rule derivative, Simplify simplify) {
  return {.name = name,
          .arity = 1,
          .type = rules::numeric,
          .vjp = {derivative},
          .simplify = simplify,
          .loop = rules::pointwise<code>,
          .pointwise = true};
}

template <Code code>
constexpr Op binary(std::string_view name, bool commutative, Rule a, Rule b, Simplify simplify) {
  return {.name = name,
          .arity = 2,
          .type = rules::numeric,
          .vjp = {a, b},
          .simplify = simplify,
          .loop = rules::pointwise<code>,
          .pointwise = true,
          .commutative = commutative};
}

// name, derivative given the inputs a and b, the output y and its cotangent g
constexpr Op kNeg = unary<Code::neg>(
    "neg", [](V v) { return -v.g; }, algebra::neg);
constexpr Op kAbs = unary<Code::abs>(
    "abs", [](V v) { return v.g * sign(v.a()); }, algebra::abs);

constexpr Op kAdd = binary<Code::add>(
    "add", true, [](V v) { return v.g; }, [](V v) { return v.g; }, algebra::add);
constexpr Op kSub = binary<Code::sub>(
    "sub", false, [](V v) { return v.g; }, [](V v) { return -v.g; }, algebra::sub);
constexpr Op kMul = binary<Code::mul>(
    "mul", true, [](V v) { return v.g * v.b(); }, [](V v) { return v.g * v.a(); }, algebra::mul);
// g / b and -g y / b, with one division
constexpr Op kDiv = binary<Code::div>(
    "div", false, [](V v) { return mul_no_nan(v.g, 1 / v.b()); },
    [](V v) { return -mul_no_nan(mul_no_nan(v.g, 1 / v.b()), v.y); }, algebra::div);
constexpr Op kMaximum = binary<Code::max>(
    "maximum", true, [](V v) { return where(v.a() >= v.b(), v.g, 0); },
    [](V v) { return where(v.a() >= v.b(), 0, v.g); }, algebra::of_equals);
constexpr Op kMinimum = binary<Code::min>(
    "minimum", true, [](V v) { return where(v.a() <= v.b(), v.g, 0); },
    [](V v) { return where(v.a() <= v.b(), 0, v.g); }, algebra::of_equals);
// The second factor gets 0 where either a or its own cotangent is 0, whatever the other is.
constexpr Op kMulNoNan = binary<Code::mul_no_nan>(
    "mul_no_nan", false, [](V v) { return mul_no_nan(v.g, v.b()); },
    [](V v) { return where(equal(v.g, 0), 0, mul_no_nan(v.a(), v.g)); }, algebra::mul_no_nan);

constexpr Op kSign{.name = "sign",
                   .type = rules::numeric,
                   .no_gradient = "constant but for the step at 0",
                   .loop = rules::pointwise<Code::sign>,
                   .pointwise = true};

constexpr Op kSquare{
    .name = "square", .type = rules::numeric, .expand = [](const Call& c) { return c.x[0] * c.x[0]; }};

struct ClampAttrs {
  double lo;
  double hi;
  void fields(FieldVisitor& f) const {
    f("lo", lo);
    f("hi", hi);
  }
  bool operator==(const ClampAttrs&) const = default;
};

constexpr Op kClamp{.name = "clamp",
                    .type =
                        [](const Signature& s) {
                          const auto& [lo, hi] = s.attrs.as<ClampAttrs>();
                          const Type type = rules::numeric(s);
                          require_type(lo <= hi, "nothing lies between ", lo, " and ", hi);
                          require_type(
                              is_floating(type.dtype) || (std::rint(lo) == lo && std::rint(hi) == hi), lo,
                              " and ", hi, " aren't both integers");
                          return type;
                        },
                    .expand =
                        [](const Call& c) {
                          const auto& [lo, hi] = c.attrs.as<ClampAttrs>();
                          return minimum(maximum(c.x[0], lo), hi);
                        }};

constexpr Op kCast{
    .name = "cast",
    .type = [](const Signature& s) -> Type {
      return {s.attrs.as<CastAttrs>().dtype, s.x[0].shape};
    },
    .vjp = {[](V v) { return cast(v.g, v.a().dtype()); }},
    .simplify = [](const Call& c) { return algebra::cast(c.x[0], c.attrs.as<CastAttrs>().dtype); },
    .loop = rules::pointwise<Code::copy>,
    .pointwise = true};

constexpr Op kStopGradient{.name = "stop_gradient",
                           .type = rules::same,
                           .no_gradient = "that is what it is for",
                           .simplify = [](const Call& c) -> std::optional<Var> { return c.x[0]; },
                           .loop = rules::pointwise<Code::copy>,
                           .pointwise = true};

}  // namespace

Var operator+(const Operand& a, const Operand& b) { return emit(kAdd, {a, b}); }
Var operator-(const Operand& a, const Operand& b) { return emit(kSub, {a, b}); }
Var operator*(const Operand& a, const Operand& b) { return emit(kMul, {a, b}); }
Var operator/(const Operand& a, const Operand& b) { return emit(kDiv, {a, b}); }
Var operator-(const Operand& x) { return emit(kNeg, {x}); }

Var abs(const Operand& x) { return emit(kAbs, {x}); }
Var sign(const Operand& x) { return emit(kSign, {x}); }
Var square(const Operand& x) { return emit(kSquare, {x}); }
Var maximum(const Operand& a, const Operand& b) { return emit(kMaximum, {a, b}); }
Var minimum(const Operand& a, const Operand& b) { return emit(kMinimum, {a, b}); }
Var clamp(const Operand& x, double lo, double hi) { return emit(kClamp, {x}, ClampAttrs{lo, hi}); }
Var mul_no_nan(const Operand& a, const Operand& b) { return emit(kMulNoNan, {a, b}); }
Var cast(const Operand& x, DType dtype) { return emit(kCast, {x}, CastAttrs{dtype}); }
Var stop_gradient(const Operand& x) { return emit(kStopGradient, {x}); }

void register_pointwise(Registry& registry) {
  for (const Op* op : {&kNeg, &kAbs, &kAdd, &kSub, &kMul, &kDiv, &kMaximum, &kMinimum, &kMulNoNan, &kSign,
                       &kSquare, &kClamp, &kCast, &kStopGradient}) {
    registry.add(*op);
  }
}

}  // namespace tapestry
