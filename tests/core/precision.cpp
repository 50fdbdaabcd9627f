// Which values lower_precision casts: graph in, graph out.
#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/precision.hpp>
#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/compile/verify.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>

#include <functional>
#include <sstream>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

std::string shape_of(const Graph& graph) {
  std::istringstream lines(to_text(graph));
  std::string out;
  for (std::string line; std::getline(lines, line);) out += line.substr(0, line.find("  #")) + '\n';
  return out;
}

Graph recorded(const std::function<Var(Var x, Var w)>& f, DType dtype = DType::f32) {
  Tape tape;
  const Var x = tape.input("x", {dtype, {4, 4}}), w = tape.input("w", {dtype, {4, 4}});
  const Var outputs[] = {f(x, w)};
  return tape.take(outputs);
}

void expect(const std::function<Var(Var x, Var w)>& before, const std::function<Var(Var x, Var w)>& after,
            const std::string& report) {
  PrecisionReport found;
  const Graph result = lower_precision(recorded(before), &found);
  verify(result);
  BOOST_TEST(shape_of(eliminate_common_subexpressions(result)) == shape_of(recorded(after)));
  BOOST_TEST(to_string(found) == report);
}

Var half(const Var& x) { return cast(x, DType::bf16); }
Var single(const Var& x) { return cast(x, DType::f32); }

}  // namespace

BOOST_AUTO_TEST_SUITE(precision)

BOOST_AUTO_TEST_CASE(a_result_that_is_handed_on_is_bf16_and_an_output_f32) {
  expect([](Var x, Var w) { return matmul(exp(matmul(x, w)), w); },
         [](Var x, Var w) {
           const Var a = half(x), b = half(w);
           const Var h = half(exp(single(matmul(a, b, {.result = DType::bf16}))));
           return matmul(h, b, {.result = DType::f32});
         },
         "bf16: 2 matmul, 3 operands cast, 1 results kept in f32");
}

BOOST_AUTO_TEST_CASE(what_is_pointwise_after_it_keeps_a_result_and_a_sum_does_not) {
  expect([](Var x, Var w) { return matmul(x, w) * 0.5; },
         [](Var x, Var w) {
           const Var a = half(x), b = half(w);
           return matmul(a, b, {.result = DType::f32}) * 0.5;
         },
         "bf16: 1 matmul, 2 operands cast, 1 results kept in f32");
  expect([](Var x, Var w) { return sum(matmul(x, w)); },
         [](Var x, Var w) {
           const Var a = half(x), b = half(w);
           return sum(single(matmul(a, b, {.result = DType::bf16})));
         },
         "bf16: 1 matmul, 2 operands cast, 0 results kept in f32");
}

BOOST_AUTO_TEST_CASE(a_result_that_is_multiplied_at_once_is_rounded_once) {
  expect([](Var x, Var w) { return matmul(matmul(x, w), w); },
         [](Var x, Var w) {
           const Var a = half(x), b = half(w);
           return matmul(matmul(a, b, {.result = DType::bf16}), b, {.result = DType::f32});
         },
         "bf16: 2 matmul, 2 operands cast, 1 results kept in f32");
}

BOOST_AUTO_TEST_CASE(views_are_of_the_value_that_was_cast) {
  expect(
      [](Var x, Var w) {
        const Var a = reshape(exp(x), {2, 8});
        return matmul(a, reshape(w, {8, 2}));
      },
      [](Var x, Var w) {
        const Var a = reshape(half(exp(x)), {2, 8});
        return matmul(a, reshape(half(w), {8, 2}), {.result = DType::f32});
      },
      "bf16: 1 matmul, 2 operands cast, 1 results kept in f32");
}

BOOST_AUTO_TEST_CASE(f64_and_pointwise_work_stay) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Graph before =
        recorded([&](Var x, Var w) { return dtype == DType::f64 ? matmul(x, w) : exp(x) + w; }, dtype);
    PrecisionReport report;
    BOOST_TEST(shape_of(lower_precision(before, &report)) == shape_of(before));
    BOOST_TEST(to_string(report) == "bf16: nothing to cast");
  }
}

BOOST_AUTO_TEST_SUITE_END()
