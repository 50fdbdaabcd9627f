#include "../support/graphs.hpp"
#include "../support/special_numbers.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::kInf;
using test::kNan;
using test::numbers;

BOOST_AUTO_TEST_SUITE(pointwise)

BOOST_AUTO_TEST_CASE(arithmetic_at_the_edges) {
  Tape tape;
  const Var a = f64(tape, {1, -1, 0, kInf, kNan});
  const Var b = f64(tape, {0, 0, 0, kInf, 1});
  BOOST_TEST(numbers(a + b) == "1 -1 0 inf nan");
  BOOST_TEST(numbers(a - b) == "1 -1 0 nan nan");
  BOOST_TEST(numbers(a * b) == "0 -0 0 inf nan");
  BOOST_TEST(numbers(a / b) == "inf -inf nan nan nan");
  BOOST_TEST(numbers(-a) == "-1 1 -0 -inf nan");
  BOOST_TEST(numbers(abs(-a)) == "1 1 0 inf nan");
  BOOST_TEST(numbers(sign(a)) == "1 -1 0 1 nan");
  BOOST_TEST(numbers(square(a)) == "1 1 0 inf nan");
  BOOST_TEST(numbers(maximum(a, b)) == "1 0 0 inf nan");
  BOOST_TEST(numbers(minimum(a, b)) == "0 -1 0 inf nan");
  BOOST_TEST(numbers(clamp(a, -0.5, 2)) == "1 -0.5 0 2 nan");
}

BOOST_AUTO_TEST_CASE(mul_no_nan_is_zero_where_the_first_is) {
  Tape tape;
  const Var a = f64(tape, {0, 0, -0.0, 2, 1, kInf});
  const Var b = f64(tape, {kInf, kNan, -kInf, 3, kNan, 0});
  BOOST_TEST(numbers(mul_no_nan(a, b)) == "0 0 0 6 nan nan");
  // So are its derivatives.
  const std::vector<Var> wrt = {a, b};
  const auto g = gradients(mul_no_nan(a, b), wrt, f64(tape, {0, 0, 0, 1, 0, 1}));
  BOOST_TEST(numbers(g[0]) == "0 0 0 3 0 0");
  BOOST_TEST(numbers(g[1]) == "0 0 0 2 0 inf");
}

BOOST_AUTO_TEST_CASE(integers) {
  Tape tape;
  const auto i32 = [&](std::vector<std::int32_t> v) {
    return tape.constant(Tensor::from(v, {std::int64_t(v.size())}));
  };
  const Var a = i32({7, -7, 5, 2147483647});
  const Var b = i32({2, 2, 0, 1});
  BOOST_TEST(to_string(evaluate(a + b)) == "i32 [4] {9, -5, 5, -2.14748e+09}");
  BOOST_TEST(numbers(a - b) == "5 -9 5 2.14748e+09");
  BOOST_TEST(numbers(a * 3) == "21 -21 15 2.14748e+09");
  BOOST_TEST(numbers(a / b) == "3 -3 0 2.14748e+09");
  BOOST_TEST(numbers(-a) == "-7 7 -5 -2.14748e+09");
  BOOST_TEST(numbers(sign(-a)) == "-1 1 -1 -1");
  BOOST_TEST(numbers(maximum(a, b)) == "7 2 5 2.14748e+09");
  BOOST_TEST(numbers(clamp(a, -1, 6)) == "6 -1 5 6");
  BOOST_TEST(numbers(tape.constant(Tensor::from({std::uint8_t(200)}, {1})) + 100) == "44");
}

BOOST_AUTO_TEST_CASE(derivatives_at_the_kinks) {
  Tape tape;
  const Var x = f64(tape, {-1, 0, 1});
  const Var zero = f64(tape, {0, 0, 0});
  const std::vector<Var> wrt = {x, zero};
  BOOST_TEST(numbers(gradient(sum(abs(x)), x)) == "-1 0 1");
  BOOST_TEST(numbers(gradients(sum(maximum(x, zero)), wrt)[0]) == "0 1 1");
  BOOST_TEST(numbers(gradients(sum(maximum(x, zero)), wrt)[1]) == "1 0 0");
  BOOST_TEST(numbers(gradients(sum(minimum(x, zero)), wrt)[0]) == "1 1 0");
  BOOST_TEST(numbers(gradients(sum(minimum(x, zero)), wrt)[1]) == "0 0 1");
  const Var y = f64(tape, {-2, -1, 0, 1, 2});
  BOOST_TEST(numbers(gradient(sum(clamp(y, -1, 1) * 3), y)) == "0 3 3 3 0");
}

BOOST_AUTO_TEST_CASE(what_is_not_differentiated) {
  Tape tape;
  const Var x = f64(tape, {-1, 2});
  BOOST_TEST(numbers(gradient(sum(sign(x)), x)) == "0 0");
  BOOST_TEST(numbers(gradient(sum(stop_gradient(x) * x), x)) == "-1 2");
  BOOST_TEST(numbers(stop_gradient(x)) == "-1 2");
}

BOOST_AUTO_TEST_CASE(casts) {
  Tape tape;
  const Var x = f64(tape, {1.9, -1.9, 0.1, -0.0});
  BOOST_TEST(to_string(evaluate(cast(x, DType::i64))) == "i64 [4] {1, -1, 0, 0}");
  BOOST_TEST(to_string(evaluate(cast(x, DType::boolean))) == "bool [4] {1, 1, 1, 0}");
  BOOST_TEST(evaluate(cast(x, DType::f32)).at(2) == double(0.1f));
  BOOST_TEST(evaluate(cast(x, DType::bf16)).at(2) == double(float(bf16(0.1f))));
  BOOST_TEST(numbers(cast(cast(x, DType::i32), DType::f64)) == "1 -1 0 0");
  // The cotangent is rounded on its way back; integers pass none.
  BOOST_TEST(evaluate(gradient(sum(cast(cast(x, DType::f32), DType::f64) * 0.1), x)).at(0) == double(0.1f));
  BOOST_TEST(numbers(gradient(sum(cast(cast(x, DType::i64), DType::f64)), x)) == "0 0 0 0");
}

BOOST_AUTO_TEST_CASE(slopes) {
  const Tensor a = Tensor::from({0.3, -1.2, 2.5, 0.7, -0.4, 1.1}, {2, 3});
  const Tensor b = Tensor::from({1.5, -0.6, 0.9}, {3});
  const Tensor c = Tensor::from({0.8, -2.1}, {2, 1});
  using X = std::span<const Var>;
  BOOST_TEST(check_gradients([](X x) { return x[0] + x[1] - x[2]; }, {a, b, c}).error < 1e-9);
  BOOST_TEST(check_gradients([](X x) { return x[0] * x[1] / x[2]; }, {a, b, c}).error < 1e-9);
  BOOST_TEST(check_gradients([](X x) { return x[1] / x[2]; }, {a, b, c}).error < 1e-9);
  BOOST_TEST(check_gradients([](X x) { return maximum(x[0], x[1]) * minimum(x[0], x[2]); }, {a, b, c}).error <
             1e-9);
  BOOST_TEST(check_gradients([](X x) { return abs(x[0]) * square(x[1]); }, {a, b}).error < 1e-9);
  BOOST_TEST(check_gradients([](X x) { return mul_no_nan(x[0], x[1]); }, {a, b}).error < 1e-9);
  BOOST_TEST(check_gradients([](X x) { return clamp(-x[0], -1, 0.5); }, {a}).error < 1e-9);
}

BOOST_AUTO_TEST_CASE(empty_values) {
  Tape tape;
  const Var x = tape.constant(Tensor(DType::f64, {0, 3}));
  const Var b = f64(tape, {1, 2, 3});
  BOOST_TEST(to_string(evaluate(clamp(-x * b + 1, 0, 1))) == "f64 [0, 3] {}");
  BOOST_TEST(numbers(gradient(sum(x * b), b)) == "0 0 0");
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const Var flag = tape.constant(Tensor::from({true}, {1}));
  const Var x = f64(tape, {1});
  const Var i = tape.constant(Tensor::from({1}, {1}));
  const auto says = [](const auto& f, std::string_view what) {
    const std::string message = test::thrown(f);
    BOOST_TEST(message.find(what) != std::string::npos, message);
  };
  says([&] { return flag + flag; }, "add: needs numbers, not bool");
  says([&] { return x * i; }, "mul: dtypes differ: constant f64 [1]");
  says([&] { return clamp(x, 2, 1); }, "clamp: nothing lies between 2 and 1");
  says([&] { return clamp(x, kNan, 1); }, "clamp: nothing lies between nan and 1");
  says([&] { return clamp(i, 0.5, 1); }, "clamp: 0.5 and 1 aren't both integers");
}

BOOST_AUTO_TEST_SUITE_END()
