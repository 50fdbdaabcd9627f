// Reductions against the vectors of tests/oracle/families/reduce.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Bound;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

using Reduction = Var (*)(const Operand&, const Axes&, bool);

Function over(Reduction op, Axes axes = {}, bool keep_dims = false) {
  return [=](const Inputs& x) { return op(x[0], axes, keep_dims); };
}

Var biased_var(const Operand& x, const Axes& axes, bool keep_dims) { return var(x, axes, keep_dims); }
Var biased_std(const Operand& x, const Axes& axes, bool keep_dims) { return stddev(x, axes, keep_dims); }

const std::pair<std::string_view, Axes> kAxes[] = {{"all", {}},  {"axis0", 0},       {"axis1", 1},
                                                   {"last", -1}, {"axes02", {0, 2}}, {"axes_listed", {2, 1}}};

const std::pair<std::string_view, Reduction> kReductions[] = {{"sum", sum},
                                                              {"mean", mean},
                                                              {"prod", prod},
                                                              {"max", max},
                                                              {"min", min},
                                                              {"var", biased_var},
                                                              {"std", biased_std},
                                                              {"norm", norm},
                                                              {"logsumexp", logsumexp},
                                                              {"squared_deviations", squared_deviations}};

void add_floating(Table& t) {
  for (const auto& [name, op] : kReductions) {
    for (const auto& [label, axes] : kAxes) {
      t.add(text(name, '/', label), over(op, axes));
      t.add(text(name, '/', label, "_keep"), over(op, axes, true));
    }
    t.add(name, {"vector"}, over(op));
    t.add(name, {"rest_is_empty"}, over(op, 1));
    if (name == "std") continue;
    t.add(name, {"size_one"}, over(op, 1));
    t.add(name, {"scalar"}, over(op));
  }
  t.add("sum/long", over(sum));
  t.add("mean/long_rows", over(mean, 0));
  const std::pair<std::string_view, Shape> shapes[] = {
      {"row", {3}},     {"column", {2, 1}}, {"scalar", {}}, {"middle", {3, 1}},
      {"same", {2, 3}}, {"ones", {1, 1}},   {"empty", {3}}};
  for (const auto& [label, shape] : shapes)
    t.add(text("sum_to/", label), [shape = shape](const Inputs& x) { return square(sum_to(x[0], shape)); });
  t.add("sum/repeated", [](const Inputs& x) { return sum(x[0] * x[0]) * sum(x[0]); });
}

void add_edges(Table& t) {
  for (const auto& [name, op] : {std::pair<std::string_view, Reduction>{"sum", sum}, {"prod", prod}}) {
    t.add(name, {"empty"}, over(op, 0));
    t.add(name, {"empty_all"}, over(op));
  }
  t.add("prod", {"one_zero", "two_zeros"}, over(prod, 1));
  for (const auto& [name, op] : {std::pair<std::string_view, Reduction>{"max", max}, {"min", min}}) {
    t.add(name, {"ties", "nan", "infinite", "integers"}, over(op, 1));
    t.add(name, {"ties_axis0"}, over(op, 0));
    t.add(name, {"ties_all"}, over(op));
    t.add(name, {"ties_axes02"}, over(op, {0, 2}));
  }
  t.add("var", {"far"}, over(biased_var, 1));
  t.add("std", {"far"}, over(biased_std, 1));
  t.add("squared_deviations", {"far"}, over(squared_deviations, 1));
  t.add("var/constant", over(biased_var, 1));
  t.add("std/constant", over(biased_std, 1));
  t.add("var/unbiased", [](const Inputs& x) { return var(x[0], 1, false, 1); });
  t.add("std/unbiased", [](const Inputs& x) { return stddev(x[0], 1, false, 1); });
  t.add("norm", {"zero", "single_negative"}, over(norm, 1));
  t.add("logsumexp", {"huge", "ties", "some_minus_infinity", "all_minus_infinity"}, over(logsumexp, 1));
}

void add_positions_and_logic(Table& t) {
  for (const auto& [name, op] :
       {std::pair<std::string_view, Reduction>{"argmax", argmax}, {"argmin", argmin}}) {
    t.add(name, {"axis1", "ties", "nan", "size_one", "integers"}, over(op, 1));
    t.add(name, {"last"}, over(op, -1));
    t.add(name, {"axis0_keep"}, over(op, 0, true));
    t.add(name, {"all"}, over(op));
    t.add(name, {"axes02"}, over(op, {0, 2}));
  }
  for (const auto& [name, op] : {std::pair<std::string_view, Reduction>{"all", all}, {"any", any}}) {
    t.add(name, {"everything"}, over(op));
    t.add(name, {"axis1"}, over(op, 1));
    t.add(name, {"axis0_keep"}, over(op, 0, true));
    t.add(name, {"axes02"}, over(op, {0, 2}));
    t.add(name, {"empty"}, over(op, 0));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_reduce)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  add_floating(t);
  add_edges(t);
  add_positions_and_logic(t);
  t.check("reduce");
}

BOOST_AUTO_TEST_SUITE_END()
