#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_AUTO_TEST_SUITE(differentiate)

BOOST_AUTO_TEST_CASE(a_product_of_sums) {
  Tape tape;
  const Var x = tape.constant(Tensor::from({1.0, 2.0, 3.0}, {3}));
  const Var y = sum(x * x * 2);
  const Tensor g = evaluate(gradient(y, x));
  for (int i = 0; i < 3; ++i) BOOST_TEST(g.at(i) == 4.0 * (i + 1));
}

BOOST_AUTO_TEST_CASE(gradients_of_gradients) {
  Tape tape;
  const Var x = tape.constant(Tensor::scalar(0.5));
  Var y = exp(x * x);
  // y' = 2x y; y'' = (2 + 4x^2) y; y''' = (12x + 8x^3) y
  const double e = std::exp(0.25);
  y = gradient(y, x);
  BOOST_TEST(evaluate(y).item() == e, boost::test_tools::tolerance(1e-14));
  y = gradient(y, x);
  BOOST_TEST(evaluate(y).item() == 3 * e, boost::test_tools::tolerance(1e-14));
  y = gradient(y, x);
  BOOST_TEST(evaluate(y).item() == 7 * e, boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(broadcast_operands_get_sums) {
  Tape tape;
  const Var a = tape.constant(Tensor::from({1.0, 2.0, 3.0}, {3, 1}));
  const Var b = tape.constant(Tensor::from({10.0, 20.0}, {2}));
  const std::vector<Var> wrt = {a, b};
  const auto g = evaluate(gradients(sum(a * b), wrt));
  BOOST_TEST(to_string(g[0].shape()) == "[3, 1]");
  BOOST_TEST(g[0].at(0) == 30);
  BOOST_TEST(to_string(g[1].shape()) == "[2]");
  BOOST_TEST(g[1].at(1) == 6);
}

BOOST_AUTO_TEST_CASE(paths_through_another_wrt_count) {
  Tape tape;
  const Var x = tape.constant(Tensor::scalar(3.0));
  const Var h = x * x;
  const std::vector<Var> wrt = {x, h};
  const auto g = evaluate(gradients(h * h, wrt));
  BOOST_TEST(g[0].item() == 4 * 27);
  BOOST_TEST(g[1].item() == 2 * 9);
}

BOOST_AUTO_TEST_CASE(what_does_not_matter_has_gradient_zero) {
  Tape tape;
  const Var x = tape.constant(Tensor::from({1.0, 2.0}, {2}));
  const Var y = tape.constant(Tensor::scalar(1.0));
  const Tensor g = evaluate(gradient(y * 2, x));
  BOOST_TEST(to_string(g) == "f64 [2] {0, 0}");
}

BOOST_AUTO_TEST_CASE(mistakes_name_the_line) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2, 3}});
  const State w("fc1/weight", Tensor(DType::f32, {4}));
  const int line = __LINE__ + 1;
  BOOST_CHECK_EXCEPTION(x + w, Error, [&](const Error& e) {
    const std::string expected =
        text("differentiate.cpp:", line,
             ": add: shapes can't be broadcast: x [2, 3] (differentiate.cpp:", line - 3,
             ") · fc1/weight [4] (differentiate.cpp:", line, ")");
    BOOST_TEST(e.what() == expected);
    return true;
  });
  BOOST_CHECK_THROW(gradient(x, x), Error);
}

BOOST_AUTO_TEST_CASE(a_shape_outlives_the_ops_recorded_after_it) {
  Tape tape;
  const Var x = tape.input("x", {DType::f64, {2, 3}});
  const Shape& shape = x.shape();
  for (int i = 0; i < 1000; ++i) tape.constant(1, DType::f64);
  BOOST_TEST((shape == Shape{2, 3}));
}

BOOST_AUTO_TEST_SUITE_END()
