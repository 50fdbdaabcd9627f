#include "../support/graphs.hpp"
#include "../support/special_numbers.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::kInf;
using test::kNan;
using test::numbers;

BOOST_AUTO_TEST_SUITE(compare)

BOOST_AUTO_TEST_CASE(with_zeros_infinities_and_nan) {
  Tape tape;
  const Var a = f64(tape, {1, 2, 3, 0.0, kInf, kNan, kNan});
  const Var b = f64(tape, {2, 2, 2, -0.0, kInf, kNan, 1});
  BOOST_TEST(numbers(a < b) == "1 0 0 0 0 0 0");
  BOOST_TEST(numbers(a <= b) == "1 1 0 1 1 0 0");
  BOOST_TEST(numbers(a > b) == "0 0 1 0 0 0 0");
  BOOST_TEST(numbers(a >= b) == "0 1 1 1 1 0 0");
  BOOST_TEST(numbers(equal(a, b)) == "0 1 0 1 1 0 0");
  BOOST_TEST(numbers(not_equal(a, b)) == "1 0 1 0 0 1 1");
  BOOST_TEST(numbers(is_finite(a)) == "1 1 1 1 0 0 0");
  BOOST_TEST(((a < b).dtype() == DType::boolean));
}

BOOST_AUTO_TEST_CASE(numbers_on_either_side_and_integers) {
  Tape tape;
  const Var i = tape.constant(Tensor::from({std::int64_t{1}, (std::int64_t{1} << 53) + 1}, {2}));
  BOOST_TEST(numbers(2 > i) == "1 0");
  BOOST_TEST(numbers(i >= 1) == "1 1");
  // Not through doubles, which can't tell these two apart.
  BOOST_TEST(numbers(equal(i, std::int64_t{1} << 53)) == "0 0");
  BOOST_TEST(numbers(is_finite(i)) == "1 1");
}

BOOST_AUTO_TEST_CASE(logic) {
  Tape tape;
  const Var a = tape.constant(Tensor::from({true, true, false, false}, {4}));
  const Var b = tape.constant(Tensor::from({true, false, true, false}, {4}));
  BOOST_TEST(numbers(logical_and(a, b)) == "1 0 0 0");
  BOOST_TEST(numbers(logical_or(a, b)) == "1 1 1 0");
  BOOST_TEST(numbers(logical_not(a)) == "0 0 1 1");
}

BOOST_AUTO_TEST_CASE(where_selects_and_broadcasts) {
  Tape tape;
  const Var rows = tape.constant(Tensor::from({true, false}, {2, 1}));
  const Var a = f64(tape, {1, 2, kNan});
  BOOST_TEST(numbers(where(rows, a, -1)) == "1 2 nan -1 -1 -1");
  BOOST_TEST(numbers(where(rows, 7, a)) == "7 7 7 1 2 nan");
  BOOST_TEST(numbers(gradient(sum(where(rows, a * 2, a)), a)) == "3 3 3");
  const Var i = tape.constant(Tensor::from({1, 2}, {2}));
  BOOST_TEST(to_string(evaluate(where(rows, i, 0))) == "i32 [2, 2] {1, 2, 0, 0}");
  BOOST_TEST(to_string(evaluate(where(rows, rows, rows))) == "bool [2, 1] {1, 0}");
  BOOST_TEST(to_string(evaluate(where(rows, tape.constant(Tensor(DType::f64, {0})), 1))) == "f64 [2, 0] {}");
}

BOOST_AUTO_TEST_CASE(the_unselected_branch_takes_no_part) {
  Tape tape;
  const Var x = f64(tape, {0, 2, -1});
  const Var y = where(x > 0, log(x), 0);
  BOOST_TEST(numbers(y) == "0 0.693147 0");
  const Var g = gradient(sum(y), x);
  BOOST_TEST(numbers(g) == "0 0.5 0");
  BOOST_TEST(numbers(gradient(sum(g), x) + 0) == "0 -0.25 0");
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const Var x = f64(tape, {1, 2});
  const Var flags = x > 1;
  const auto says = [](const auto& f, std::string_view what) {
    const std::string message = test::thrown(f);
    BOOST_TEST(message.find(what) != std::string::npos, message);
  };
  says([&] { return where(x, x, x); }, "where: the condition isn't bool");
  says([&] { return where(flags, x, tape.constant(Tensor::from({1}, {}))); }, "where: dtypes differ");
  says([&] { return where(flags, f64(tape, {1, 2, 3}), 0); }, "where: shapes can't be broadcast");
  says([&] { return logical_and(flags, x); }, "logical_and: dtypes differ");
  says([&] { return logical_not(x); }, "logical_not: needs bool");
}

BOOST_AUTO_TEST_SUITE_END()
