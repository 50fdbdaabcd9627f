// Pointwise ops against the vectors of tests/oracle/families/pointwise.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Bound;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

// Small values right to their last digits too, not just to 1e-12 of 1.
constexpr Bound kRelative{.error = 1e-12, .relative = true};

using Unary = Var (*)(const Operand&);
using Binary = Var (*)(const Operand&, const Operand&);

Function call(Unary op) {
  return [op](const Inputs& x) { return op(x[0]); };
}
Function call(Binary op) {
  return [op](const Inputs& x) { return op(x[0], x[1]); };
}

const std::pair<std::string_view, Unary> kUnary[] = {{"neg", operator- },
                                                      {"abs", abs},
                                                      {"sign", sign},
                                                      {"square", square},
                                                      {"sqrt", sqrt},
                                                      {"rsqrt", rsqrt},
                                                      {"exp", exp},
                                                      {"expm1", expm1},
                                                      {"log", log},
                                                      {"log1p", log1p},
                                                      {"sin", sin},
                                                      {"cos", cos},
                                                      {"tanh", tanh},
                                                      {"sigmoid", sigmoid},
                                                      {"relu", relu},
                                                      {"gelu", gelu},
                                                      {"gelu_tanh", gelu_tanh},
                                                      {"silu", silu},
                                                      {"softplus", softplus},
                                                      {"erf", erf}};

const std::pair<std::string_view, Binary> kBinary[] = {
    {"add", operator+ },
     {"sub", operator- },
      {"mul", operator* }, {"div", operator/ }, {"maximum", maximum}, {"minimum", minimum}, {"pow", pow}};

const std::pair<std::string_view, Binary> kCompare[] = {
    {"equal", equal},           {"not_equal", not_equal}, {"less", less},
    {"less_equal", less_equal}, {"greater", greater},     {"greater_equal", greater_equal}};

void add_unary(Table& t) {
  for (const auto& [name, op] : kUnary) t.add(name, {"matrix", "vector", "scalar", "empty"}, call(op));
  t.add("leaky_relu/slope_0.01", [](const Inputs& x) { return leaky_relu(x[0], 0.01); });
  t.add("leaky_relu/slope_0.2", [](const Inputs& x) { return leaky_relu(x[0], 0.2); });
  t.add("elu/alpha_1.0", [](const Inputs& x) { return elu(x[0], 1.0); });
  t.add("elu/alpha_0.7", [](const Inputs& x) { return elu(x[0], 0.7); });
  t.add("clamp/both", [](const Inputs& x) { return clamp(x[0], -0.7, 1.1); });
}

void add_unary_edges(Table& t) {
  t.add("abs/zero", call(abs));
  t.add("sign/zero", call(sign));
  t.add("relu", {"zero", "nan"}, call(relu));
  t.add("leaky_relu/large", [](const Inputs& x) { return leaky_relu(x[0], 0.1); });
  t.add("sqrt", {"zero", "negative"}, call(sqrt));
  t.add("rsqrt/extremes", call(rsqrt));
  t.add("rsqrt/tiny", call(rsqrt), kRelative);
  t.add("exp/extremes", call(exp));
  t.add("expm1/tiny", call(expm1), kRelative);
  t.add("expm1/extremes", call(expm1));
  t.add("log/extremes", call(log));
  t.add("log/near_one", call(log), kRelative);
  t.add("log1p/tiny", call(log1p), kRelative);
  t.add("log1p/extremes", call(log1p));
  t.add("sin/large", call(sin));
  t.add("cos/large", call(cos));
  for (const auto& [name, op] : kUnary) {
    if (name == "tanh" || name == "sigmoid" || name == "gelu" || name == "gelu_tanh" || name == "silu" ||
        name == "softplus" || name == "erf")
      t.add(name, {"tails"}, call(op));
  }
  t.add("erf", {"tiny", "sweep"}, call(erf), kRelative);
  t.add("tanh/tiny", call(tanh), kRelative);
  t.add("sigmoid/negative", call(sigmoid), kRelative);
  t.add("softplus/negative", call(softplus), kRelative);
  t.add("elu/large", [](const Inputs& x) { return elu(x[0], 0.7); });
  t.add("clamp/ends", [](const Inputs& x) { return clamp(x[0], -1, 1); });
  t.add("clamp/nan", [](const Inputs& x) { return clamp(x[0], -1, 1); });
}

void add_arithmetic(Table& t) {
  for (const auto& [name, op] : kBinary) {
    t.add(name,
          {"equal_shapes", "column_row", "scalar_matrix", "matrix_scalar", "vector_block", "block_vector",
           "middle", "ones", "size_one", "scalars", "empty", "empty_by_one"},
          call(op));
    if (name != "minimum") t.add(name, {"repeated"}, [op](const Inputs& x) { return op(x[0], x[0]); });
    if (name != "div" && name != "pow") t.add(name, {"integers"}, call(op));
  }
  t.add("mul/cube", [](const Inputs& x) { return x[0] * x[0] * x[0]; });
  t.add("mul/repeated_broadcast", [](const Inputs& x) {
    return reshape(x[0], {3, 1}) * reshape(x[0], {1, 3});
  });
  t.add("maximum", {"ties", "nan"}, call(maximum));
  t.add("minimum", {"ties", "nan"}, call(minimum));
  t.add("div/zero", call(operator/));
  t.add("mul_no_nan", {"column_row", "equal_shapes", "zeros"}, call(mul_no_nan));
  t.add("add/infinities", call(operator+));
  t.add("mul/infinities", call(operator*));
}

void add_powers(Table& t) {
  for (const int exponent : {2, 3, -1, -2, 0, 1, 4})
    t.add(text("pow/negative_base_exponent_", exponent),
          [=](const Inputs& x) { return pow(x[0], exponent); });
  t.add("pow/exponent_0.5", [](const Inputs& x) { return pow(x[0], 0.5); });
  t.add("pow/exponent_-0.5", [](const Inputs& x) { return pow(x[0], -0.5); });
  t.add("pow/exponent_2.5", [](const Inputs& x) { return pow(x[0], 2.5); });
  t.add("pow/exponent_0.333", [](const Inputs& x) { return pow(x[0], 1.0 / 3); });
  for (const int exponent : {0, 1, 2, 3})
    t.add(text("pow/zero_base_exponent_", exponent), [=](const Inputs& x) { return pow(x[0], exponent); });
  t.add("pow", {"negative_base_integer_exponents", "zero_base", "extremes"}, call(pow));
}

void add_compare(Table& t) {
  for (const auto& [name, op] : kCompare)
    t.add(name, {"ordered", "nan", "column_row", "integers", "empty"}, call(op));
  t.add("logical_and", {"table", "block_vector"}, call(logical_and));
  t.add("logical_or", {"table", "block_vector"}, call(logical_or));
  t.add("logical_not", {"table", "empty"}, call(logical_not));
}

void add_select(Table& t) {
  t.add("where",
        {"equal_shapes", "scalar_condition", "scalar_branches", "all_ways", "empty", "unselected_nan",
         "integers"},
        [](const Inputs& x) { return where(x[0], x[1], x[2]); });
  t.add("where/repeated", [](const Inputs& x) { return where(x[0], x[1], x[1]); });
  t.add("where/smooth", [](const Inputs& x) { return where(x[0] > 0, x[0] * x[0], exp(x[0])); });
  t.add("where/safe_log", [](const Inputs& x) { return where(x[0] > 0, log(x[0]), 0.5 * x[0]); });
  t.add("where/safe_sqrt", [](const Inputs& x) { return where(x[0] > 0, sqrt(x[0]), 0.5 * x[0]); });
  t.add("where/safe_rsqrt", [](const Inputs& x) { return where(x[0] > 0, rsqrt(x[0]), 0.5 * x[0]); });
  t.add("where/safe_div", [](const Inputs& x) { return where(x[0] > 0, 1 / x[0], 0.5 * x[0]); });
  t.add("where/safe_pow", [](const Inputs& x) { return where(x[0] > 0, pow(x[0], 1.5), 0.5 * x[0]); });
  t.add("floor/signs", call(floor));
  t.add("is_finite/table", call(is_finite));
  t.add("stop_gradient/product", [](const Inputs& x) { return stop_gradient(x[0]) * x[0]; });
  t.add("cast/f64_to_i64", [](const Inputs& x) { return cast(x[0], DType::i64); });
  t.add("cast/f64_to_f32", [](const Inputs& x) { return cast(x[0], DType::f32); });
  t.add("cast/f64_to_bool", [](const Inputs& x) { return cast(x[0], DType::boolean); });
  t.add("cast", {"i64_to_f64", "bool_to_f64"}, [](const Inputs& x) { return cast(x[0], x.dtype); });
  t.add("cast/through_i64", [](const Inputs& x) { return cast(cast(x[0], DType::i64), x.dtype) * x[0]; });
  t.add("cast/through_bool",
        [](const Inputs& x) { return cast(cast(x[0], DType::boolean), x.dtype) + x[0]; });
  t.add("cast/through_f32", [](const Inputs& x) { return cast(cast(x[0], DType::f32), x.dtype) * x[0]; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_pointwise)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  add_unary(t);
  add_unary_edges(t);
  add_arithmetic(t);
  add_powers(t);
  add_compare(t);
  add_select(t);
  t.check("pointwise");
}

BOOST_AUTO_TEST_SUITE_END()
