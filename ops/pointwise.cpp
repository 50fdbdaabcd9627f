#include <tapestry/core/registry.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/rules.hpp>

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

template <Code code>
constexpr Op binary(std::string_view name, bool commutative, Rule a, Rule b) {
  return {.name = name,
          .arity = 2,
          .type = rules::broadcast,
          .vjp = {a, b},
          .loop = rules::pointwise<code>,
          .pointwise = true,
          .commutative = commutative};
}

// name, derivative given the inputs a and b, the output y and its cotangent g
constexpr Op kNeg = unary<Code::neg>("neg", [](V v) { return -v.g; });
constexpr Op kExp = unary<Code::exp>("exp", [](V v) { return v.g * v.y; });
constexpr Op kLog = unary<Code::log>("log", [](V v) { return v.g / v.a(); });

constexpr Op kAdd = binary<Code::add>(
    "add", true, [](V v) { return v.g; }, [](V v) { return v.g; });
constexpr Op kSub = binary<Code::sub>(
    "sub", false, [](V v) { return v.g; }, [](V v) { return -v.g; });
constexpr Op kMul = binary<Code::mul>(
    "mul", true, [](V v) { return v.g * v.b(); }, [](V v) { return v.g * v.a(); });
constexpr Op kDiv = binary<Code::div>(
    "div", false, [](V v) { return v.g / v.b(); }, [](V v) { return -v.g * v.y / v.b(); });

}  // namespace

Var operator+(const Operand& a, const Operand& b) { return emit(kAdd, {a, b}); }
Var operator-(const Operand& a, const Operand& b) { return emit(kSub, {a, b}); }
Var operator*(const Operand& a, const Operand& b) { return emit(kMul, {a, b}); }
Var operator/(const Operand& a, const Operand& b) { return emit(kDiv, {a, b}); }
Var operator-(const Operand& x) { return emit(kNeg, {x}); }

Var exp(const Operand& x) { return emit(kExp, {x}); }
Var log(const Operand& x) { return emit(kLog, {x}); }

void register_pointwise(Registry& registry) {
  for (const Op* op : {&kNeg, &kExp, &kLog, &kAdd, &kSub, &kMul, &kDiv}) registry.add(*op);
}

}  // namespace tapestry
