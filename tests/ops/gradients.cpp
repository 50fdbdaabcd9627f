// Every case of every op through check_gradients, first and second order; and the edges, where differences
// can't look, against stated gradients.
#include "../support/op_cases.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/program.hpp>

#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::OpCase;
using test::OpEdge;

namespace {

struct Gradients {
  Tape tape;
  std::vector<Var> wrt;
  std::vector<Var> found;

  Gradients(const CheckedFunction& f, std::span<const Tensor> inputs) {
    std::vector<Var> x;
    for (std::size_t i = 0; i < inputs.size(); ++i) x.push_back(tape.input(text("x", i), inputs[i].type()));
    const Var y = f(x);
    for (const Var& v : x) {
      if (is_floating(v.dtype())) wrt.push_back(v);
    }
    found = gradients(y, wrt, tape.constant(Tensor::full<double>(y.shape(), 1)));
  }

  std::vector<Tensor> run(std::span<const Tensor> inputs) {
    Program program = compile(tape, found, {.verify = true});
    program.run(inputs);
    return program.outputs();
  }
};

std::int64_t floating_elements(const OpCase& c) {
  std::int64_t n = 0;
  for (const Tensor& x : c.inputs) n += is_floating(x.dtype()) ? x.elements() : 0;
  return n;
}

/// "add   27 cases  4032 comparisons  worst 3.1e-11 (row, matrix)"
class Report {
 public:
  void note(const OpCase& c, const GradientCheck& check) {
    Row& row = rows_[c.op];
    ++row.cases;
    row.comparisons += check.comparisons;
    if (row.where.empty() || check.error > row.error) row.error = check.error, row.where = c.name;
  }
  std::string text() const {
    std::ostringstream out;
    for (const auto& [op, row] : rows_) {
      out << '\n'
          << std::left << std::setw(24) << op << std::right << std::setw(3) << row.cases << " cases"
          << std::setw(6) << row.comparisons << " comparisons  worst " << std::setprecision(2) << std::setw(8)
          << row.error << "  (" << row.where << ')';
    }
    return std::move(out).str();
  }

 private:
  struct Row {
    int cases = 0;
    std::int64_t comparisons = 0;
    double error = 0;
    std::string where;
  };
  std::map<std::string, Row> rows_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gradients)

BOOST_AUTO_TEST_CASE(first_and_second_order) {
  Report report;
  for (const OpCase& c : test::op_table().cases) {
    if (!test::differentiated(c.op)) continue;
    BOOST_TEST_CONTEXT(c.label()) try {
      const GradientCheck check = check_gradients(c.f, c.inputs, {.order = 2});
      report.note(c, check);
      BOOST_TEST(check.passes(test::tolerance(c.op)), check.describe());
      BOOST_TEST((check.comparisons > 0 || floating_elements(c) == 0));
    } catch (const std::exception& e) {
      BOOST_ERROR(e.what());
    }
  }
  BOOST_TEST_MESSAGE(report.text());
}

BOOST_AUTO_TEST_CASE(of_nothing_there_are_gradients_too) {
  for (const OpCase& c : test::op_table().cases) {
    if (!test::differentiated(c.op) || !test::coverage(c).contains("empty")) continue;
    BOOST_TEST_CONTEXT(c.label()) try {
      Gradients g(c.f, c.inputs);
      const std::vector<Tensor> values = g.run(c.inputs);
      BOOST_REQUIRE(values.size() == g.wrt.size());
      for (std::size_t i = 0; i < values.size(); ++i) BOOST_TEST((values[i].type() == g.wrt[i].type()));
    } catch (const std::exception& e) {
      BOOST_ERROR(e.what());
    }
  }
}

BOOST_AUTO_TEST_CASE(at_edges) {
  for (const OpEdge& e : test::op_table().edges) {
    BOOST_TEST_CONTEXT(e.label()) try {
      Gradients g(e.f, e.inputs);
      const std::vector<Tensor> values = g.run(e.inputs);
      BOOST_REQUIRE(values.size() == e.gradients.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        BOOST_REQUIRE(std::size_t(values[i].elements()) == e.gradients[i].size());
        for (std::size_t k = 0; k < e.gradients[i].size(); ++k) {
          const double actual = values[i].at(std::int64_t(k)), expected = e.gradients[i][k];
          const bool equal = actual == expected || (std::isnan(actual) && std::isnan(expected)) ||
                             std::abs(actual - expected) <= 1e-14 * std::abs(expected);
          BOOST_TEST(equal,
                     "gradient " << i << ", element " << k << ": " << actual << " instead of " << expected);
        }
      }
    } catch (const std::exception& e2) {
      BOOST_ERROR(e2.what());
    }
  }
}

/// Ops with a floating result and no derivative stop the gradient: it is exactly zero.
BOOST_AUTO_TEST_CASE(without_a_derivative_zero) {
  int checked = 0;
  for (const OpCase& c : test::op_table().cases) {
    if (test::differentiated(c.op) || floating_elements(c) == 0) continue;
    Tape tape;
    std::vector<Var> x;
    for (const Tensor& input : c.inputs) x.push_back(tape.input("x", input.type()));
    if (c.f(x).dtype() != DType::f64) continue;
    Gradients g(c.f, c.inputs);
    ++checked;
    for (const Tensor& value : g.run(c.inputs)) {
      for (const double v : value.values<double>()) BOOST_TEST(v == 0, c.label());
    }
  }
  BOOST_TEST(checked > 10);
}

BOOST_AUTO_TEST_SUITE_END()
