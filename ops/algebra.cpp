#include <tapestry/core/language.hpp>
#include <tapestry/ops/algebra.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/rules.hpp>

#include <cmath>
#include <limits>

namespace tapestry::algebra {
namespace {

/// `x` as the result of the call, whose operands may have been broadcast.
Var shaped(const Var& x, const Call& c) {
  Shape shape = c.x[0].shape();
  for (const Var& operand : c.x.subspan(1)) shape = *broadcast(shape, operand.shape());
  return language::fit(x, shape);
}

/// Does a product or quotient of constants keep its precision in `dtype`?
bool normal(double value, DType dtype) {
  return is_floating(dtype) && (dtype == DType::f64 ? std::isnormal(value) : std::isnormal(float(value)));
}

bool power_of_two(double value) {
  int exponent;
  return std::abs(std::frexp(value, &exponent)) == 0.5;
}

}  // namespace

std::optional<double> number_in(const Var& x) {
  const Graph& graph = x.tape().graph();
  ValueId id = x.id();
  while (graph.is(id, "broadcast_to")) id = graph.input(id, 0);
  const Tensor* value = language::constant_value(graph, id);
  if (!value || value->elements() == 0) return {};
  const double first = value->at(0);
  if (!is_floating(value->dtype()) && std::abs(first) > 0x1p53) return {};
  for (std::int64_t i = 1; i < value->elements(); ++i) {
    if (value->at(i) != first) return {};
  }
  return first == first ? std::optional(first) : std::nullopt;
}

std::optional<Var> operand_of(const Var& x, std::string_view op, int slot) {
  const Graph& graph = x.tape().graph();
  if (!graph.is(x.id(), op)) return {};
  return x.tape().at(graph.input(x.id(), slot));
}

Simpler neg(const Call& c) {
  const Var& x = c.x[0];
  if (const auto inner = operand_of(x, "neg")) return inner;
  if (const auto a = operand_of(x, "sub", 0)) return *operand_of(x, "sub", 1) - *a;
  for (int i = 0; i < 2; ++i) {
    const auto factor = operand_of(x, "mul", i);
    const auto k = factor ? number_in(*factor) : std::nullopt;
    if (k) return shaped(*operand_of(x, "mul", 1 - i) * -*k, c);
  }
  return {};
}

Simpler abs(const Call& c) {
  if (const auto inner = operand_of(c.x[0], "neg")) return tapestry::abs(*inner);
  return {};
}

Simpler add(const Call& c) {
  if (same(c.x[0], c.x[1])) return c.x[0] * 2;
  for (int i = 0; i < 2; ++i) {
    const Var& a = c.x[std::size_t(i)];
    const Var& b = c.x[std::size_t(1 - i)];
    if (number_in(b) == 0.0) return shaped(a, c);
    if (const auto inner = operand_of(b, "neg")) return a - *inner;
  }
  return {};
}

Simpler sub(const Call& c) {
  const Var& a = c.x[0];
  const Var& b = c.x[1];
  if (number_in(b) == 0.0) return shaped(a, c);
  if (number_in(a) == 0.0) return shaped(-b, c);
  if (const auto inner = operand_of(b, "neg")) return a + *inner;
  return {};
}

Simpler mul(const Call& c) {
  const DType dtype = c.x[0].dtype();
  for (int i = 0; i < 2; ++i) {
    const Var& a = c.x[std::size_t(i)];
    const auto k = number_in(c.x[std::size_t(1 - i)]);
    if (!k) continue;
    if (*k == 1) return shaped(a, c);
    if (*k == -1) return shaped(-a, c);
    // Not so for floating values: infinity * 0 is NaN.
    if (*k == 0 && !is_floating(dtype)) return shaped(rules::number(a, 0), c);
    if (const auto inner = operand_of(a, "neg")) return shaped(*inner * -*k, c);
    for (int j = 0; j < 2; ++j) {
      const auto factor = operand_of(a, "mul", j);
      const auto other = factor ? number_in(*factor) : std::nullopt;
      if (other && normal(*k * *other, dtype)) return shaped(*operand_of(a, "mul", 1 - j) * (*k * *other), c);
    }
  }
  const auto a = operand_of(c.x[0], "neg");
  const auto b = operand_of(c.x[1], "neg");
  if (a && b) return *a * *b;
  return {};
}

Simpler div(const Call& c) {
  const Var& a = c.x[0];
  const DType dtype = a.dtype();
  if (const auto k = number_in(c.x[1])) {
    if (*k == 1) return shaped(a, c);
    if (*k == -1) return shaped(-a, c);
    if (normal(1 / *k, dtype) && power_of_two(*k)) return shaped(a * (1 / *k), c);
  }
  const auto p = operand_of(a, "neg");
  const auto q = operand_of(c.x[1], "neg");
  if (p && q) return *p / *q;
  return {};
}

Simpler pow(const Call& c) {
  const Var& x = c.x[0];
  const auto power = [&](double exponent) -> Simpler {
    if (exponent == 0) return rules::number(x, 1);
    if (exponent == 0.5) return tapestry::sqrt(x);
    if (exponent == 1) return x;
    if (exponent == 2) return x * x;
    if (exponent == 3) return x * x * x;
    return {};
  };
  const auto exponent = number_in(c.x[1]);
  if (!exponent) return {};
  if (const Simpler y = power(*exponent)) return shaped(*y, c);
  if (const Simpler y = power(-*exponent)) return shaped(1 / *y, c);
  return {};
}

Simpler mul_no_nan(const Call& c) {
  const auto a = number_in(c.x[0]);
  const auto b = number_in(c.x[1]);
  if (a == 0.0) return shaped(rules::number(c.x[0], 0), c);
  if (a || (b && std::isfinite(*b))) return c.x[0] * c.x[1];
  return {};
}

Simpler where(const Call& c) {
  if (const auto condition = number_in(c.x[0])) return shaped(*condition != 0 ? c.x[1] : c.x[2], c);
  if (same(c.x[1], c.x[2])) return shaped(c.x[1], c);
  if (const auto opposite = operand_of(c.x[0], "logical_not")) {
    return tapestry::where(*opposite, c.x[2], c.x[1]);
  }
  return {};
}

Simpler of_equals(const Call& c) { return same(c.x[0], c.x[1]) ? Simpler(c.x[0]) : std::nullopt; }

Simpler cast(const Var& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const auto inner = operand_of(x, "cast");
  if (!inner) return {};
  // There and back through a type that holds every value of the first.
  const DType from = inner->dtype();
  const bool alike =
      (is_floating(from) && is_floating(x.dtype())) || (is_integer(from) && is_integer(x.dtype()));
  const bool lossless = from == DType::boolean || (alike && size_of(x.dtype()) > size_of(from));
  if (from == dtype && lossless) return inner;
  return {};
}

}  // namespace tapestry::algebra
