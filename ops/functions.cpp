#include <tapestry/core/registry.hpp>
#include <tapestry/ops/algebra.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/rules.hpp>

#include <numbers>

namespace tapestry {
namespace {

using kernels::Code;
using V = const Vjp&;
using Rule = Var (*)(V);

template <Code code>
constexpr Op unary(std::string_view name, Rule derivative) {
  return {.name = name,
          .arity = 1,
          .type = rules::floating,
          .vjp = {derivative},
          .loop = rules::pointwise<code>,
          .pointwise = true};
}

constexpr double kErfSlope = 2 * std::numbers::inv_sqrtpi;

// name, derivative given the input a, the output y and its cotangent g
constexpr Op kSqrt = unary<Code::sqrt>("sqrt", [](V v) { return mul_no_nan(v.g, 0.5 / v.y); });
constexpr Op kExp = unary<Code::exp>("exp", [](V v) { return mul_no_nan(v.g, v.y); });
constexpr Op kExpm1 = unary<Code::expm1>("expm1", [](V v) { return mul_no_nan(v.g, v.y + 1); });
constexpr Op kLog = unary<Code::log>("log", [](V v) { return mul_no_nan(v.g, 1 / v.a()); });
constexpr Op kLog1p = unary<Code::log1p>("log1p", [](V v) { return mul_no_nan(v.g, 1 / (1 + v.a())); });
constexpr Op kSin = unary<Code::sin>("sin", [](V v) { return mul_no_nan(v.g, cos(v.a())); });
constexpr Op kCos = unary<Code::cos>("cos", [](V v) { return -mul_no_nan(v.g, sin(v.a())); });
constexpr Op kTanh = unary<Code::tanh>("tanh", [](V v) { return v.g * (1 - v.y * v.y); });
constexpr Op kErf = unary<Code::erf>("erf", [](V v) { return v.g * (kErfSlope * exp(-(v.a() * v.a()))); });

// a^b: b a^(b-1), which is 0 for b = 0 whatever a is; and a^b log a, with the limit 0 for a = 0.
constexpr Op kPow{.name = "pow",
                  .arity = 2,
                  .type = rules::floating,
                  .vjp = {[](V v) { return mul_no_nan(v.g, mul_no_nan(v.b(), pow(v.a(), v.b() - 1))); },
                          [](V v) {
                            const Var log_a = where(not_equal(v.a(), 0), log(v.a()), 0);
                            return mul_no_nan(v.g, mul_no_nan(log_a, v.y));
                          }},
                  .simplify = algebra::pow,
                  .loop = rules::pointwise<Code::pow>,
                  .pointwise = true};

constexpr Op kFloor{.name = "floor",
                    .type = rules::floating,
                    .no_gradient = "constant but for the steps",
                    .loop = rules::pointwise<Code::floor>,
                    .pointwise = true};

constexpr Op kRsqrt{
    .name = "rsqrt", .type = rules::floating, .expand = [](const Call& c) { return 1 / sqrt(c.x[0]); }};

}  // namespace

Var sqrt(const Operand& x) { return emit(kSqrt, {x}); }
Var rsqrt(const Operand& x) { return emit(kRsqrt, {x}); }
Var exp(const Operand& x) { return emit(kExp, {x}); }
Var expm1(const Operand& x) { return emit(kExpm1, {x}); }
Var log(const Operand& x) { return emit(kLog, {x}); }
Var log1p(const Operand& x) { return emit(kLog1p, {x}); }
Var pow(const Operand& base, const Operand& exponent) { return emit(kPow, {base, exponent}); }
Var sin(const Operand& x) { return emit(kSin, {x}); }
Var cos(const Operand& x) { return emit(kCos, {x}); }
Var tanh(const Operand& x) { return emit(kTanh, {x}); }
Var erf(const Operand& x) { return emit(kErf, {x}); }
Var floor(const Operand& x) { return emit(kFloor, {x}); }

void register_functions(Registry& registry) {
  for (const Op* op :
       {&kSqrt, &kRsqrt, &kExp, &kExpm1, &kLog, &kLog1p, &kPow, &kSin, &kCos, &kTanh, &kErf, &kFloor}) {
    registry.add(*op);
  }
}

}  // namespace tapestry
