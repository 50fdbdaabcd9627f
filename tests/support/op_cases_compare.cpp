// Comparisons, logic, selection.
#include "op_cases.hpp"

#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>

#include <cmath>
#include <limits>

namespace tapestry::test {
namespace {

/// 0 to 3, so that some are equal.
Tensor few(const Shape& shape) {
  Tensor t = uniform(shape, 0, 4);
  for (double& v : t.mutable_values<double>()) v = std::floor(v);
  return t;
}

void add_where(OpTable& t) {
  const auto call = [](std::span<const Var> x) { return where(x[0], x[1], x[2]); };
  struct Shapes {
    std::string_view name;
    Shape condition, a, b;
  };
  for (const Shapes& s :
       std::initializer_list<Shapes>{{"equal shapes", {3, 3}, {3, 3}, {3, 3}},
                                     {"row condition, column, matrix", {3}, {2, 1}, {2, 3}},
                                     {"column condition, matrix, column", {2, 1}, {2, 3}, {2, 1}},
                                     {"scalar condition, row, matrix", {}, {1, 3}, {2, 3}},
                                     {"matrix condition, scalar, row", {2, 3}, {}, {3}},
                                     {"matrix condition, row, scalar", {2, 3}, {3}, {1, 1}},
                                     {"matrix condition, column, row", {2, 3}, {2, 1}, {3}},
                                     {"scalars", {}, {}, {}},
                                     {"size 1", {1}, {1, 1}, {1}},
                                     {"empty", {0, 3}, {1, 3}, {0, 1}}}) {
    t.add("where", s.name, call, {booleans(s.condition), signed_values(s.a), signed_values(s.b)});
  }
  t.add("where", "repeated operand", [](std::span<const Var> x) { return where(x[0], x[1], x[1]); },
        {booleans({2, 3}), signed_values({2, 3})});
  // The slope of the root at 0 is infinite, but nobody selects it.
  t.edge("where", "unselected infinity",
         [](std::span<const Var> x) { return where(x[0] > 0, sqrt(x[0]), 3 * x[0]); },
         {doubles({0.0, 0.25, -1.0}, {3})}, {{3, 1, 3}});
}

}  // namespace

void add_compare_cases(OpTable& t) {
  using Value = std::function<double(double, double)>;
  using Compare = Var (*)(const Operand&, const Operand&);
  const std::tuple<std::string_view, Compare, Value> comparisons[] = {
      {"equal", equal, std::equal_to<>()},    {"not_equal", not_equal, std::not_equal_to<>()},
      {"less", less, std::less<>()},          {"less_equal", less_equal, std::less_equal<>()},
      {"greater", greater, std::greater<>()}, {"greater_equal", greater_equal, std::greater_equal<>()}};
  for (const auto& [op, f, value] : comparisons) {
    binary_cases(
        t, op, [f = f](const Var& a, const Var& b) { return f(a, b); }, few, few, value);
  }
  binary_cases(
      t, "logical_and", [](const Var& a, const Var& b) { return logical_and(a, b); }, booleans, booleans,
      std::logical_and<>());
  binary_cases(
      t, "logical_or", [](const Var& a, const Var& b) { return logical_or(a, b); }, booleans, booleans,
      std::logical_or<>());
  unary_cases(
      t, "logical_not", [](const Var& x) { return logical_not(x); }, booleans, std::logical_not<>());
  const auto some_infinite = [](const Shape& s) {
    Tensor x = few(s);
    for (double& v : x.mutable_values<double>()) {
      if (v == 3) v = std::numeric_limits<double>::infinity();
    }
    return x;
  };
  unary_cases(
      t, "is_finite", [](const Var& x) { return is_finite(x); }, some_infinite,
      [](double x) { return double(std::isfinite(x)); });
  add_where(t);
}

}  // namespace tapestry::test
