// Reductions, and softmax, which is one along an axis.
#include "op_cases.hpp"

#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/softmax.hpp>

#include <cmath>
#include <limits>

namespace tapestry::test {
namespace {

using Reduction = std::function<Var(const Var&, const Axes&, bool)>;

/// The op along each axis of a square, along several of a block, of one element, of nothing.
void reduce_cases(OpTable& t, std::string_view op, const Reduction& f, const Draw& x,
                  std::string_view prefix = {}) {
  const auto along = [&](const Axes& axes, bool keep = false) -> CheckedFunction {
    return [=](std::span<const Var> v) { return f(v[0], axes, keep); };
  };
  t.add(op, text(prefix, "first axis"), along(0), {x({3, 3})});
  t.add(op, text(prefix, "last axis"), along(-1), {x({3, 3})});
  t.add(op, text(prefix, "kept axis"), along(1, kKeepDims), {x({2, 3})});
  t.add(op, text(prefix, "all axes"), along({}), {x({2, 3})});
  t.add(op, text(prefix, "outer and inner axes"), along({0, 2}), {x({2, 3, 2})});
  t.add(op, text(prefix, "size 1 elsewhere"), along(1), {x({1, 3, 1})});
  t.add(op, text(prefix, "two elements"), along(0), {x({2})});
  t.add(op, text(prefix, "empty elsewhere"), along(1), {x({0, 3})});
}

/// Those that a single element has a gradient for.
void single_cases(OpTable& t, std::string_view op, const Reduction& f, const Draw& x) {
  t.add(op, "size 1", [f](std::span<const Var> v) { return f(v[0], 1, false); }, {x({3, 1})});
  t.add(op, "scalar", [f](std::span<const Var> v) { return f(v[0], {}, false); }, {x({})});
}

void reduce_edge(OpTable& t, std::string_view op, std::string_view name, const Reduction& f, Tensor x,
                 std::vector<double> gradient) {
  t.edge(op, name, [f](std::span<const Var> v) { return f(v[0], -1, false); }, {std::move(x)},
         {std::move(gradient)});
}

/// Columns of so many rows, far from 0 or with a first row unlike the others, against the definition.
void add_columns_of(OpTable& t, const Reduction& spread) {
  const Reference definition = [](std::span<const Tensor> x) {
    const std::int64_t rows = x[0].shape()[0], columns = x[0].shape()[1];
    Tensor y(DType::f64, {columns});
    for (std::int64_t c = 0; c < columns; ++c) {
      long double sum = 0, squares = 0;
      for (std::int64_t r = 0; r < rows; ++r) sum += x[0].at(r * columns + c);
      for (std::int64_t r = 0; r < rows; ++r) {
        const long double apart = x[0].at(r * columns + c) - sum / rows;
        squares += apart * apart;
      }
      y.mutable_values<double>()[std::size_t(c)] = double(squares);
    }
    return y;
  };
  for (const std::int64_t rows : {1, 2, 7, 9, 30}) {
    Tensor x = signed_values({rows, 3});
    for (std::int64_t r = 0; r < rows; ++r) x.mutable_values<double>()[std::size_t(r * 3)] += 64;
    x.mutable_values<double>()[1] = 50;
    t.add(
        "squared_deviations", text(rows, " rows"),
        [=](std::span<const Var> v) { return spread(v[0], 0, false); }, {std::move(x)}, definition);
  }
}

void add_softmax(OpTable& t) {
  const std::pair<std::string_view, Var (*)(const Operand&, int)> ops[] = {{"softmax", softmax},
                                                                           {"log_softmax", log_softmax}};
  const Draw draw = [](const Shape& s) { return signed_values(s); };
  for (const auto& [op, function] : ops) {
    const auto along = [f = function](int axis) -> CheckedFunction {
      return [=](std::span<const Var> v) { return f(v[0], axis); };
    };
    t.add(op, "first axis", along(0), {draw({3, 3})});
    t.add(op, "last axis", along(-1), {draw({3, 3})});
    t.add(op, "middle axis", along(1), {draw({2, 3, 2})});
    t.add(op, "batch of one", along(1), {draw({1, 4})});
    t.add(op, "empty", along(1), {draw({0, 3})});
    // One class: the value doesn't depend on x.
    t.edge(op, "one class", along(1), {doubles({3.0, -4.0}, {2, 1})}, {{0, 0}});
  }
  const double inf = std::numeric_limits<double>::infinity();
  t.edge("softmax", "far apart",
         [](std::span<const Var> v) {
           return softmax(v[0]) * doubles({1.0, 2.0}, {2});
         },
         {doubles({1e4, -inf}, {2})}, {{0, 0}});
  t.edge("log_softmax", "far apart", [](std::span<const Var> v) { return log_softmax(v[0]); },
         {doubles({1e4, -1e4}, {2})}, {{-1, 1}});
}

}  // namespace

void add_reduce_cases(OpTable& t) {
  const Draw draw = [](const Shape& s) { return signed_values(s); };
  const Draw apart = [](const Shape& s) { return distinct(s); };
  const auto total = [](const Var& x, const Axes& a, bool keep) { return sum(x, a, keep); };
  const auto average = [](const Var& x, const Axes& a, bool keep) { return mean(x, a, keep); };
  const auto largest = [](const Var& x, const Axes& a, bool keep) { return max(x, a, keep); };
  const auto smallest = [](const Var& x, const Axes& a, bool keep) { return min(x, a, keep); };
  const auto biased = [](const Var& x, const Axes& a, bool keep) { return var(x, a, keep); };
  const auto unbiased = [](const Var& x, const Axes& a, bool keep) { return stddev(x, a, keep, 1); };
  const auto length = [](const Var& x, const Axes& a, bool keep) { return norm(x, a, keep); };
  const auto soft_max = [](const Var& x, const Axes& a, bool keep) { return logsumexp(x, a, keep); };
  for (const auto& [op, f, x] :
       std::initializer_list<std::tuple<std::string_view, Reduction, Draw>>{{"sum", total, draw},
                                                                            {"mean", average, draw},
                                                                            {"max", largest, apart},
                                                                            {"min", smallest, apart},
                                                                            {"norm", length, draw},
                                                                            {"logsumexp", soft_max, draw}}) {
    reduce_cases(t, op, f, x);
    single_cases(t, op, f, x);
  }
  const auto product = [](const Var& x, const Axes& a, bool keep) { return prod(x, a, keep); };
  reduce_cases(t, "prod", product, draw);
  single_cases(t, "prod", product, draw);
  reduce_cases(t, "var", biased, apart);
  reduce_cases(
      t, "var", [](const Var& x, const Axes& a, bool keep) { return var(x, a, keep, 1); }, apart,
      "unbiased, ");
  reduce_cases(t, "std", unbiased, apart);
  const auto spread = [](const Var& x, const Axes& a, bool keep) { return squared_deviations(x, a, keep); };
  reduce_cases(t, "squared_deviations", spread, apart);
  single_cases(t, "squared_deviations", spread, apart);
  add_columns_of(t, spread);

  const double inf = std::numeric_limits<double>::infinity();
  reduce_edge(t, "sum", "huge", total, doubles({1e300, inf}, {2}), {1, 1});
  reduce_edge(t, "mean", "huge", average, doubles({1e300, -1e300}, {2}), {0.5, 0.5});
  reduce_edge(t, "max", "ties", largest, doubles({1.0, 3, 3, -inf, -inf, -inf}, {2, 3}), {0, 1, 0, 1, 0, 0});
  reduce_edge(t, "min", "ties", smallest, doubles({1.0, 1, 3, inf, inf, inf}, {2, 3}), {1, 0, 0, 1, 0, 0});
  reduce_edge(t, "prod", "zeros", product, doubles({2, 0, 3, 0, 0, 5}, {2, 3}), {0, 6, 0, 0, 0, 0});
  reduce_edge(t, "squared_deviations", "far out", spread, doubles({1e8, 1e8 + 1, 1e8 + 5}, {3}), {-4, -2, 6});
  reduce_edge(t, "squared_deviations", "constant", spread, doubles({7.0, 7, 7}, {3}), {0, 0, 0});
  reduce_edge(t, "var", "constant", biased, doubles({7.0, 7, 7}, {3}), {0, 0, 0});
  reduce_edge(t, "var", "one element", biased, doubles({7.0}, {1}), {0});
  reduce_edge(t, "std", "constant", unbiased, doubles({7.0, 7, 7}, {3}), {0, 0, 0});
  reduce_edge(t, "norm", "zero", length, doubles({0.0, 0, 3, -4}, {2, 2}), {0, 0, 0.6, -0.8});
  reduce_edge(t, "logsumexp", "far apart", soft_max, doubles({1e4, -1e4, -inf, 0}, {2, 2}), {1, 0, 0, 1});
  add_softmax(t);

  // Which position, and booleans: no derivative.
  for (const bool largest_first : {true, false}) {
    const std::string_view op = largest_first ? "argmax" : "argmin";
    reduce_cases(
        t, op,
        [=](const Var& x, const Axes& a, bool keep) {
          return largest_first ? argmax(x, a, keep) : argmin(x, a, keep);
        },
        apart);
    single_cases(
        t, op,
        [=](const Var& x, const Axes& a, bool keep) {
          return largest_first ? argmax(x, a, keep) : argmin(x, a, keep);
        },
        apart);
  }
  for (const auto& [op, f] : std::initializer_list<std::pair<std::string_view, Reduction>>{
           {"all", [](const Var&x, const Axes&a, bool keep) { return all(x, a, keep); }},
           {"any", [](const Var&x, const Axes&a, bool keep) { return any(x, a, keep); }}}) {
    reduce_cases(t, op, f, booleans);
    single_cases(t, op, f, booleans);
  }

  const auto to = [](const Shape& shape) -> CheckedFunction {
    return [=](std::span<const Var> v) { return sum_to(v[0], shape); };
  };
  const Reference rows_summed = [](std::span<const Tensor> x) {
    const std::int64_t rows = x[0].shape()[0], columns = x[0].shape()[1];
    Tensor y(DType::f64, {columns});
    for (std::int64_t i = 0; i < rows * columns; ++i)
      y.mutable_values<double>()[std::size_t(i % columns)] += x[0].at(i);
    return y;
  };
  t.add("sum_to", "row", to({3}), {draw({3, 3})}, rows_summed);
  t.add("sum_to", "row of nothing", to({3}), {draw({0, 3})}, rows_summed);
  t.add("sum_to", "row of one", to({3}), {draw({1, 3})}, rows_summed);
  t.add("sum_to", "column", to({3, 1}), {draw({3, 3})});
  t.add("sum_to", "middle", to({2, 1, 2}), {draw({4, 2, 3, 2})});
  t.add("sum_to", "scalar", to({}), {draw({2, 3})});
  t.add("sum_to", "itself", to({2, 3}), {draw({2, 3})});
  t.edge("sum_to", "huge", to({1}), {doubles({1e300, inf}, {2})}, {{1, 1}});
}

}  // namespace tapestry::test
