#include "../support/graphs.hpp"
#include "../support/special_numbers.hpp"

#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::kInf;
using test::simplified;
using test::simplified_gradient;

namespace {

const Type kMatrix{DType::f64, {2, 3}};
const Type kRow{DType::f64, {3}};
const Type kIntegers{DType::i32, {2, 3}};
const Type kHalf{DType::bf16, {2, 3}};

}  // namespace

BOOST_AUTO_TEST_SUITE(algebra)

BOOST_AUTO_TEST_CASE(neutral_elements) {
  BOOST_TEST(simplified([](Var x, Var) { return x + 0; }) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return 0 + x; }) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return x - 0; }) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return 0 - x; }) == "neg(x)");
  BOOST_TEST(simplified([](Var x, Var) { return x * 1; }) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return x / 1; }) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return x * -1; }) == "neg(x)");
  BOOST_TEST(simplified([](Var x, Var) { return x / -1; }) == "neg(x)");
  BOOST_TEST(simplified([](Var x, Var) { return x + x; }) == "mul(x, 2)");
}

BOOST_AUTO_TEST_CASE(zero_times_x_is_zero_for_integers_only) {
  BOOST_TEST(simplified([](Var x, Var) { return x * 0; }) == "mul(x, 0)");
  BOOST_TEST(simplified([](Var x, Var) { return x * 0; }, kIntegers) == "broadcast_to(0){shape=[2, 3]}");
  BOOST_TEST(simplified([](Var x, Var) { return x - x; }) == "sub(x, x)");
}

BOOST_AUTO_TEST_CASE(signs) {
  BOOST_TEST(simplified([](Var x, Var) { return -(-x); }) == "x");
  BOOST_TEST(simplified([](Var x, Var y) { return x + -y; }) == "sub(x, y)");
  BOOST_TEST(simplified([](Var x, Var y) { return -x + y; }) == "sub(y, x)");
  BOOST_TEST(simplified([](Var x, Var y) { return x - -y; }) == "add(x, y)");
  BOOST_TEST(simplified([](Var x, Var y) { return -(x - y); }) == "sub(y, x)");
  BOOST_TEST(simplified([](Var x, Var y) { return -x * -y; }) == "mul(x, y)");
  BOOST_TEST(simplified([](Var x, Var y) { return -x / -y; }) == "div(x, y)");
  BOOST_TEST(simplified([](Var x, Var) { return -(x * 3); }) == "mul(x, -3)");
  BOOST_TEST(simplified([](Var x, Var) { return -x * 3; }) == "mul(x, -3)");
  BOOST_TEST(simplified([](Var x, Var) { return abs(-x); }) == "abs(x)");
}

BOOST_AUTO_TEST_CASE(constants_meet) {
  BOOST_TEST(simplified([](Var x, Var) { return x * 3 * 4; }) == "mul(x, 12)");
  BOOST_TEST(simplified([](Var x, Var) { return 3 * (4 * (x * 2)); }) == "mul(x, 24)");
  BOOST_TEST(simplified([](Var x, Var) { return x * 0.5 * 2; }) == "x");
  // Not where the product overflows or loses digits.
  BOOST_TEST(simplified([](Var x, Var) { return x * 1e200 * 1e200; }) == "mul(mul(x, 1e+200), 1e+200)");
  BOOST_TEST(simplified([](Var x, Var) { return x * 1e-200 * 1e-120; }) == "mul(mul(x, 1e-200), 1e-120)");
  BOOST_TEST(simplified([](Var x, Var) { return x * 1e30 * 1e30; }, {DType::f32, {}}) ==
             "mul(mul(x, 1e+30), 1e+30)");
  BOOST_TEST(simplified([](Var x, Var) { return x * 3 * 4; }, kIntegers) == "mul(mul(x, 3), 4)");
  // Exact for powers of two only.
  BOOST_TEST(simplified([](Var x, Var) { return x / 4; }) == "mul(x, 0.25)");
  BOOST_TEST(simplified([](Var x, Var) { return x / 3; }) == "div(x, 3)");
  BOOST_TEST(simplified([](Var x, Var) { return x / 0; }) == "div(x, 0)");
  BOOST_TEST(simplified([](Var x, Var) { return x / 4; }, kIntegers) == "div(x, 4)");
}

BOOST_AUTO_TEST_CASE(powers) {
  const auto power = [](double exponent) { return simplified([&](Var x, Var) { return pow(x, exponent); }); };
  BOOST_TEST(power(1) == "x");
  BOOST_TEST(power(2) == "mul(x, x)");
  BOOST_TEST(power(3) == "mul(mul(x, x), x)");
  BOOST_TEST(power(0.5) == "sqrt(x)");
  BOOST_TEST(power(-1) == "div(1, x)");
  BOOST_TEST(power(-0.5) == "div(1, sqrt(x))");
  BOOST_TEST(power(0) == "broadcast_to(1){shape=[2, 3]}");
  BOOST_TEST(power(2.5) == "pow(x, 2.5)");
}

BOOST_AUTO_TEST_CASE(products_that_cannot_be_nan) {
  BOOST_TEST(simplified([](Var x, Var) { return mul_no_nan(2, x); }) == "mul(2, x)");
  BOOST_TEST(simplified([](Var x, Var) { return mul_no_nan(x, 2); }) == "mul(x, 2)");
  BOOST_TEST(simplified([](Var x, Var) { return mul_no_nan(x, kInf); }) == "mul_no_nan(x, inf)");
  BOOST_TEST(simplified([](Var x, Var) { return mul_no_nan(0, x); }) == "broadcast_to(0){shape=[2, 3]}");
}

BOOST_AUTO_TEST_CASE(selections) {
  const auto flags = [](Var x, bool value) { return x.tape().constant(Tensor::full({2, 3}, value)); };
  BOOST_TEST(simplified([&](Var x, Var y) { return where(flags(x, true), x, y); }) == "x");
  BOOST_TEST(simplified([&](Var x, Var y) { return where(flags(x, false), x, y); }) == "y");
  BOOST_TEST(simplified([](Var x, Var y) { return where(y > 0, x, x); }) == "x");
  BOOST_TEST(simplified([](Var x, Var y) { return where(logical_not(x < y), x, y); }) ==
             "where(less(x, y), y, x)");
  BOOST_TEST(simplified([](Var x, Var) { return maximum(x, x); }) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return stop_gradient(x); }) == "x");
}

BOOST_AUTO_TEST_CASE(casts) {
  BOOST_TEST(simplified([](Var x, Var) { return cast(x, DType::f64); }) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return cast(cast(x, DType::f32), DType::bf16); }, kHalf) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return cast(cast(x, DType::i64), DType::i32); }, kIntegers) == "x");
  BOOST_TEST(simplified([](Var x, Var) { return cast(cast(x, DType::f32), DType::f64); }) ==
             "cast(cast(x){dtype=f32}){dtype=f64}");
  BOOST_TEST(simplified([](Var x, Var) { return cast(cast(x, DType::i64), DType::f64); }) ==
             "cast(cast(x){dtype=i64}){dtype=f64}");
  BOOST_TEST(simplified([](Var x, Var) { return cast(cast(x, DType::f32), DType::i32); }, kIntegers) ==
             "cast(cast(x){dtype=f32}){dtype=i32}");
}

BOOST_AUTO_TEST_CASE(pointwise_ops_broadcast_by_themselves) {
  const Shape full{2, 3};
  BOOST_TEST(simplified([&](Var x, Var y) { return x + broadcast_to(y, full); }, kMatrix, kRow) ==
             "add(x, y)");
  BOOST_TEST(simplified([&](Var x, Var y) { return where(broadcast_to(y, full) > 0, x, 0); }, kMatrix,
                        kRow) == "where(greater(y, 0), x, 0)");
  // Computed before it is broadcast, and the broadcast is looked through by the next.
  BOOST_TEST(simplified([&](Var, Var y) { return exp(broadcast_to(y, full)); }, kMatrix, kRow) ==
             "broadcast_to(exp(y)){shape=[2, 3]}");
  BOOST_TEST(simplified([&](Var x, Var y) { return x * exp(broadcast_to(y, full) * 2); }, kMatrix, kRow) ==
             "mul(x, exp(mul(y, 2)))");
  // The result keeps its shape.
  BOOST_TEST(simplified([&](Var, Var y) { return broadcast_to(y, full) + 0; }, kMatrix, kRow) ==
             "broadcast_to(y){shape=[2, 3]}");
  BOOST_TEST(simplified([&](Var x, Var y) { return x * Tensor::full(full, 1.0) + y * 0; }, kRow, kRow) ==
             "broadcast_to(add(x, mul(y, 0))){shape=[2, 3]}");
  // Not for ops of other kinds.
  BOOST_TEST(simplified([&](Var, Var y) { return sum(broadcast_to(y, full), 1, true); }, kMatrix, kRow) ==
             "sum(broadcast_to(y){shape=[2, 3]}){axes=[1]}");
}

BOOST_AUTO_TEST_CASE(equal_elements_are_one_number) {
  BOOST_TEST(simplified([](Var x, Var) { return x + Tensor::full({2, 3}, 2.0); }) == "add(x, 2)");
  BOOST_TEST(simplified([](Var x, Var) { return x * Tensor::full({1, 1}, 1.0); }) == "x");
  BOOST_TEST(simplified([](Var x, Var) {
               return x + Tensor::from({2.0, 2.0, 3.0}, {3});
             }) == "add(x, constant{value=f64 [3] {2, 2, 3}})");
}

BOOST_AUTO_TEST_CASE(derivatives_come_out_as_by_hand) {
  BOOST_TEST(simplified_gradient([](Var x) { return relu(x); }) == "where(greater_equal(0, x), 0, g)");
  BOOST_TEST(simplified_gradient([](Var x) { return leaky_relu(x, 0.2); }) ==
             "mul(g, where(greater(x, 0), 1, 0.2))");
  BOOST_TEST(simplified_gradient([](Var x) { return pow(x, 2); }) == "mul_no_nan(g, mul(x, 2))");
  BOOST_TEST(simplified_gradient([](Var x) { return square(x); }) == "mul(mul(x, g), 2)");
}

BOOST_AUTO_TEST_SUITE_END()
