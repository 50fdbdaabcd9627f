#include <tapestry/core/registry.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/rules.hpp>

#include <numbers>

namespace tapestry {
namespace {

using V = const Vjp&;
using C = const Call&;

struct SlopeAttrs {
  double slope;
  void fields(FieldVisitor& f) const { f("slope", slope); }
  bool operator==(const SlopeAttrs&) const = default;
};

struct AlphaAttrs {
  double alpha;
  void fields(FieldVisitor& f) const { f("alpha", alpha); }
  bool operator==(const AlphaAttrs&) const = default;
};

constexpr Op unary(std::string_view name, Var (*definition)(C)) {
  return {.name = name, .arity = 1, .type = rules::floating, .expand = definition};
}

// y (1 - y), because the definition's own derivative, y^2 exp(-x), underflows long before it has to.
constexpr Op kSigmoid{.name = "sigmoid",
                      .type = rules::floating,
                      .expand = [](C c) { return 1 / (1 + exp(-c.x[0])); },
                      .vjp = {[](V v) { return v.g * (v.y * (1 - v.y)); }}};

// 0 first: it takes the gradient of the tie.
constexpr Op kRelu = unary("relu", [](C c) { return maximum(0, c.x[0]); });

constexpr Op kLeakyRelu = unary("leaky_relu", [](C c) {
  const Var& x = c.x[0];
  return x * where(x > 0, rules::number(x, 1), rules::number(x, c.attrs.as<SlopeAttrs>().slope));
});

constexpr Op kElu = unary("elu", [](C c) {
  return maximum(0, c.x[0]) + c.attrs.as<AlphaAttrs>().alpha * expm1(minimum(c.x[0], 0));
});

// Its own derivative is (2 - x^2) p(x).
constexpr Op kGeluSlope{.name = "gelu_slope",
                        .type = rules::floating,
                        .vjp = {[](V v) {
                          constexpr double kDensity = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
                          const Var square = v.a() * v.a();
                          return v.g * (kDensity * mul_no_nan(exp(-0.5 * square), 2 - square));
                        }},
                        .loop = rules::pointwise<kernels::Code::gelu_slope>,
                        .pointwise = true};

// The definition's derivative computes two functions and what turns them into one: twice as much as that one
// takes.
constexpr Op kGelu{.name = "gelu",
                   .type = rules::floating,
                   .expand =
                       [](C c) {
                         const Var& x = c.x[0];
                         return 0.5 * x * (1 + erf(x * (1 / std::numbers::sqrt2)));
                       },
                   .vjp = {[](V v) { return v.g * gelu_slope(v.a()); }}};

// From |x| = 8 on the tanh is 1 in f64 too; without the clamp x^3 would overflow.
constexpr Op kGeluTanh = unary("gelu_tanh", [](C c) {
  const Var& x = c.x[0];
  const Var z = clamp(x, -8, 8);
  constexpr double kScale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  return 0.5 * x * (1 + tanh(kScale * (z + 0.044715 * (z * z * z))));
});

constexpr Op kSilu = unary("silu", [](C c) { return c.x[0] * sigmoid(c.x[0]); });

// The definition has kinks at 0 that cancel; its derivative would be wrong there.
constexpr Op kSoftplus{.name = "softplus",
                       .type = rules::floating,
                       .expand = [](C c) { return maximum(c.x[0], 0) + log1p(exp(-abs(c.x[0]))); },
                       .vjp = {[](V v) { return v.g * sigmoid(v.a()); }}};

}  // namespace

Var sigmoid(const Operand& x) { return emit(kSigmoid, {x}); }
Var relu(const Operand& x) { return emit(kRelu, {x}); }
Var leaky_relu(const Operand& x, double slope) { return emit(kLeakyRelu, {x}, SlopeAttrs{slope}); }
Var elu(const Operand& x, double alpha) { return emit(kElu, {x}, AlphaAttrs{alpha}); }
Var gelu_slope(const Operand& x) { return emit(kGeluSlope, {x}); }
Var gelu(const Operand& x) { return emit(kGelu, {x}); }
Var gelu_tanh(const Operand& x) { return emit(kGeluTanh, {x}); }
Var silu(const Operand& x) { return emit(kSilu, {x}); }
Var softplus(const Operand& x) { return emit(kSoftplus, {x}); }

void register_activations(Registry& registry) {
  for (const Op* op :
       {&kSigmoid, &kRelu, &kLeakyRelu, &kElu, &kGeluSlope, &kGelu, &kGeluTanh, &kSilu, &kSoftplus}) {
    registry.add(*op);
  }
}

}  // namespace tapestry
