// Elementwise ops with floating results.
#include "op_cases.hpp"

#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>

#include <cmath>
#include <limits>

namespace tapestry::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const Draw kSigned = [](const Shape& s) { return signed_values(s); };
const Draw kPositive = [](const Shape& s) { return uniform(s, 0.4, 2); };
const Draw kDistinct = [](const Shape& s) { return distinct(s); };
const Draw kDistinctOthers = [](const Shape& s) { return distinct(s, 0.2); };

Tensor row(std::initializer_list<double> values) {
  return Tensor::from(values, {std::int64_t(values.size())});
}

void unary_edge(OpTable& t, std::string_view op, const Unary& f, std::initializer_list<double> x,
                std::vector<double> gradient) {
  t.edge(op, "edges", [f](std::span<const Var> v) { return f(v[0]); }, {row(x)}, {std::move(gradient)});
}

void binary_edge(OpTable& t, std::string_view op, const Binary& f, std::initializer_list<double> a,
                 std::initializer_list<double> b, std::vector<double> by_a, std::vector<double> by_b) {
  t.edge(op, "edges", [f](std::span<const Var> v) { return f(v[0], v[1]); }, {row(a), row(b)},
         {std::move(by_a), std::move(by_b)});
}

void add_arithmetic(OpTable& t) {
  const Binary add = [](const Var& a, const Var& b) { return a + b; };
  const Binary sub = [](const Var& a, const Var& b) { return a - b; };
  const Binary mul = [](const Var& a, const Var& b) { return a * b; };
  const Binary div = [](const Var& a, const Var& b) { return a / b; };
  const auto larger = [](const Var& a, const Var& b) { return maximum(a, b); };
  const auto smaller = [](const Var& a, const Var& b) { return minimum(a, b); };
  const auto safe_mul = [](const Var& a, const Var& b) { return mul_no_nan(a, b); };
  binary_cases(t, "add", add, kSigned, kSigned);
  binary_cases(t, "sub", sub, kSigned, kSigned);
  binary_cases(t, "mul", mul, kSigned, kSigned);
  binary_cases(t, "div", div, kSigned, kSigned);
  binary_cases(t, "maximum", larger, kDistinct, kDistinctOthers);
  binary_cases(t, "minimum", smaller, kDistinct, kDistinctOthers);
  binary_cases(t, "mul_no_nan", safe_mul, kSigned, kSigned,
               [](double a, double b) { return a == 0 ? 0 : a * b; });

  binary_edge(t, "add", add, {1e300, kInfinity}, {-1e300, 0}, {1, 1}, {1, 1});
  binary_edge(t, "sub", sub, {1e300, kInfinity}, {-1e300, 0}, {1, 1}, {-1, -1});
  binary_edge(t, "mul", mul, {0, 1e300, kInfinity}, {0, 1e300, -2}, {0, 1e300, -2}, {0, 1e300, kInfinity});
  binary_edge(t, "div", div, {0, 1, 3e200}, {2, 1e200, 1e200}, {0.5, 1e-200, 1e-200}, {0, 0, -3e-200});
  // A tie is the first operand's.
  binary_edge(t, "maximum", larger, {1, -kInfinity, 2}, {1, 0, kInfinity}, {1, 0, 0}, {0, 1, 1});
  binary_edge(t, "minimum", smaller, {1, -kInfinity, 2}, {1, 0, kInfinity}, {1, 1, 1}, {0, 0, 0});
  binary_edge(t, "mul_no_nan", safe_mul, {0, 0, 3}, {kInfinity, 5, 0}, {kInfinity, 5, 0}, {0, 0, 3});
}

void add_simple(OpTable& t) {
  const Unary minus = [](const Var& x) { return -x; };
  const Unary magnitude = [](const Var& x) { return abs(x); };
  const Unary squared = [](const Var& x) { return square(x); };
  const Unary clamped = [](const Var& x) { return clamp(x, -0.7, 0.9); };
  const Unary recast = [](const Var& x) { return cast(x, DType::f64); };
  unary_cases(t, "neg", minus, kSigned);
  unary_cases(t, "abs", magnitude, kSigned);
  unary_cases(t, "square", squared, kSigned);
  unary_cases(t, "clamp", clamped, kDistinct);
  unary_cases(t, "cast", recast, kSigned, [](double x) { return x; });
  unary_cases(
      t, "sign", [](const Var& x) { return sign(x); }, kSigned,
      [](double x) { return double((x > 0) - (x < 0)); });
  unary_cases(
      t, "floor", [](const Var& x) { return floor(x); }, kDistinct, [](double x) { return std::floor(x); });
  unary_cases(
      t, "stop_gradient", [](const Var& x) { return stop_gradient(x); }, kSigned, [](double x) { return x; });

  unary_edge(t, "neg", minus, {0, 1e300, kInfinity}, {-1, -1, -1});
  unary_edge(t, "abs", magnitude, {0, 1e300, -1e-300, -kInfinity}, {0, 1, -1, -1});
  unary_edge(t, "square", squared, {0, 1e200, -1e-200}, {0, 2e200, -2e-200});
  unary_edge(t, "clamp", [](const Var& x) { return clamp(x, -1, 2); }, {-kInfinity, -1, 0, 2, 2.5},
             {0, 1, 1, 1, 0});
  // Through f32 the derivative still is f64's.
  unary_edge(t, "cast", [](const Var& x) { return cast(cast(x, DType::f32), DType::f64); }, {0, 0.1, 1e30},
             {1, 1, 1});
}

void add_functions(OpTable& t) {
  const std::pair<std::string_view, Unary> anywhere[] = {
      {"exp", [](const Var& x) { return exp(x); }},   {"expm1", [](const Var& x) { return expm1(x); }},
      {"sin", [](const Var& x) { return sin(x); }},   {"cos", [](const Var& x) { return cos(x); }},
      {"tanh", [](const Var& x) { return tanh(x); }}, {"erf", [](const Var& x) { return erf(x); }}};
  const std::pair<std::string_view, Unary> positive[] = {{"sqrt", [](const Var& x) { return sqrt(x); }},
                                                         {"rsqrt", [](const Var& x) { return rsqrt(x); }},
                                                         {"log", [](const Var& x) { return log(x); }},
                                                         {"log1p", [](const Var& x) { return log1p(x); }}};
  for (const auto& [op, f] : anywhere) unary_cases(t, op, f, kSigned);
  for (const auto& [op, f] : positive) unary_cases(t, op, f, kPositive);
  const Binary power = [](const Var& a, const Var& b) { return pow(a, b); };
  binary_cases(t, "pow", power, kPositive, kPositive);
  t.add("pow", "negative base, whole exponents", [](std::span<const Var> x) { return pow(x[0], 3); },
        {signed_values({2, 3})});

  unary_edge(t, "exp", anywhere[0].second, {0, -800, -kInfinity, 800}, {1, 0, 0, kInfinity});
  unary_edge(t, "expm1", anywhere[1].second, {0, -800, 1e-300}, {1, 0, 1});
  unary_edge(t, "sin", anywhere[2].second, {0, 1e-300}, {1, 1});
  unary_edge(t, "cos", anywhere[3].second, {0, 1e-300}, {0, -1e-300});
  unary_edge(t, "tanh", anywhere[4].second, {0, 400, -400, kInfinity}, {1, 0, 0, 0});
  unary_edge(t, "erf", anywhere[5].second, {0, 40, -40}, {2 / std::sqrt(std::acos(-1.0)), 0, 0});
  unary_edge(t, "sqrt", positive[0].second, {0, 0.25, 1e300, kInfinity}, {kInfinity, 1, 5e-151, 0});
  unary_edge(t, "rsqrt", positive[1].second, {0.25, 1e200}, {-4, -5e-301});
  unary_edge(t, "log", positive[2].second, {0, 1, 1e300, kInfinity}, {kInfinity, 1, 1e-300, 0});
  unary_edge(t, "log1p", positive[3].second, {0, -1, 1e300}, {1, kInfinity, 1e-300});
  binary_edge(t, "pow", power, {0, 0, 0, -2, 3}, {0, 1, 2, 2, 0}, {0, 1, 0, -4, 0},
              {0, 0, 0, std::numeric_limits<double>::quiet_NaN(), std::log(3.0)});
}

void add_activations(OpTable& t) {
  const Unary fs[] = {[](const Var& x) { return sigmoid(x); },
                      [](const Var& x) { return relu(x); },
                      [](const Var& x) { return leaky_relu(x, 0.1); },
                      [](const Var& x) { return elu(x, 0.7); },
                      [](const Var& x) { return gelu(x); },
                      [](const Var& x) { return gelu_slope(x); },
                      [](const Var& x) { return gelu_tanh(x); },
                      [](const Var& x) { return silu(x); },
                      [](const Var& x) { return softplus(x); }};
  const std::string_view names[] = {"sigmoid",    "relu",      "leaky_relu", "elu",     "gelu",
                                    "gelu_slope", "gelu_tanh", "silu",       "softplus"};
  const double peak = std::sqrt(2 / std::acos(-1.0));
  const auto gelu_slope_of = [peak](double x) {
    return (std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-x * x / 2) * peak) / 2;
  };
  const std::vector<double> slopes[] = {{0.25, 0, 0}, {0, 1, 0},   {0.1, 1, 0.1}, {0.7, 1, 0}, {0.5, 1, 0},
                                        {peak, 0, 0}, {0.5, 1, 0}, {0.5, 1, 0},   {0.5, 1, 0}};
  for (std::size_t i = 0; i < std::size(fs); ++i) {
    const bool is_slope = names[i] == "gelu_slope";  // PyTorch has none
    unary_cases(t, names[i], fs[i], kSigned, is_slope ? gelu_slope_of : std::function<double(double)>());
    unary_edge(t, names[i], fs[i], {0, 1000, -1000}, slopes[i]);
  }
}

}  // namespace

void add_pointwise_cases(OpTable& t) {
  add_arithmetic(t);
  add_simple(t);
  add_functions(t);
  add_activations(t);
}

}  // namespace tapestry::test
