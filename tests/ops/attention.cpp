#include <tapestry/core/random.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/attention.hpp>
#include <tapestry/tests/support/graphs.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::numbers;

namespace {

Tensor drawn(const Shape& shape, std::uint64_t stream) {
  Tensor t(DType::f64, shape);
  Random random(1, stream);
  for (double& v : t.mutable_values<double>()) v = random.normal();
  return t;
}

Tensor run(const Var& y) {
  Program program = compile(y);
  program.run(std::span<const ConstView>());
  return program.output();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention)

BOOST_AUTO_TEST_CASE(values) {
  Tape tape;
  const Var q = f64(tape, {1, 1}, {2}), k = f64(tape, {2, 1}, {0, std::log(3.0) / 2});
  const Var v = f64(tape, {2, 2}, {4, 0, 8, 1});
  // Weights 1/4 and 3/4.
  BOOST_TEST(numbers(tapestry::attention(q, k, v)) == "7 0.75");
  BOOST_TEST(numbers(tapestry::attention(q, k, v, {.scale = 0.0})) == "6 0.5");
  BOOST_TEST(numbers(tapestry::attention(q, k, v, {.causal = true})) == "4 0");
  const auto mask = [&](bool first, bool second) {
    return masked_attention(q, k, v, Tensor::from<bool>({first, second}, {2}));
  };
  BOOST_TEST(numbers(mask(true, true)) == "7 0.75");
  BOOST_TEST(numbers(mask(false, true)) == "8 1");
  BOOST_TEST(numbers(mask(false, false)) == "0 0");
}

BOOST_AUTO_TEST_CASE(causal_results_do_not_see_later_keys) {
  const Tensor q = drawn({4, 3}, 0), k = drawn({4, 3}, 1), v = drawn({4, 2}, 2);
  for (const std::int64_t place : {0, 1, 3}) {
    Tensor moved = k;
    for (std::int64_t i = 0; i < 3; ++i) moved.mutable_values<double>()[std::size_t(place * 3 + i)] += 1 + i;
    Tape tape;
    const auto causal = [&](const Tensor& keys) {
      return run(tapestry::attention(tape.constant(q), keys, v, {.causal = true}));
    };
    const Tensor before = causal(k), after = causal(moved);
    // The first query has the first key alone, whatever that is.
    for (std::int64_t i = 0; i < 8; ++i) {
      BOOST_TEST((before.at(i) == after.at(i)) == (i / 2 < std::max<std::int64_t>(place, 1)),
                 "key " << place << ", result " << i);
    }
  }
}

BOOST_AUTO_TEST_CASE(mistakes) {
  const auto says = [](const Shape& q, const Shape& k, const Shape& v, std::string_view what) {
    Tape tape;
    const std::string message = test::thrown([&] {
      tapestry::attention(tape.input("q", {DType::f64, q}), tape.input("k", {DType::f64, k}),
                          tape.input("v", {DType::f64, v}));
    });
    BOOST_TEST(message.find(what) != std::string::npos, message);
  };
  says({3}, {3}, {3}, "attention: queries, keys and values need the same axes, at least 2");
  says({2, 3, 4}, {3, 4}, {3, 4}, "need the same axes");
  says({2, 3, 4}, {1, 3, 4}, {2, 3, 4}, "queries, keys and values differ in axis 0");
  says({3, 4}, {3, 5}, {3, 4}, "queries and keys have 4 and 5 features");
  says({3, 4}, {3, 4}, {2, 4}, "there are 3 keys and 2 values");
  says({3, 4}, {0, 4}, {0, 4}, "there are no keys");
  Tape tape;
  const Var x = tape.input("x", {DType::f64, {2, 3, 4}});
  const auto masked = [&](const Type& mask) {
    return test::thrown([&] { masked_attention(x, x, x, tape.input("mask", mask)); });
  };
  BOOST_TEST(masked({DType::boolean, {3, 4}}).find("the mask can't be broadcast to [2, 3, 3]") !=
             std::string::npos);
  BOOST_TEST(masked({DType::boolean, {2, 2, 3, 3}}).find("can't be broadcast") != std::string::npos);
  BOOST_TEST(masked({DType::f64, {3, 3}}).find("the mask isn't bool") != std::string::npos);
  const Var integers = tape.input("i", {DType::i32, {2, 3, 4}});
  BOOST_TEST(test::thrown([&] {
               tapestry::attention(integers, integers, integers);
             }).find("need one floating dtype") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
