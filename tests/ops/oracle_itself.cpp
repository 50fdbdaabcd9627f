// The comparison with the vectors itself: it has to be able to fail.
#include "../support/oracle.hpp"

#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::difference;
using oracle::Inputs;
using oracle::Table;

namespace {

constexpr double kInf = INFINITY, kNan = NAN;

std::vector<std::string> about(std::string_view name, const std::vector<std::string>& mistakes) {
  std::vector<std::string> found;
  std::ranges::copy_if(mistakes, std::back_inserter(found),
                       [&](const std::string& m) { return m.starts_with(name); });
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_itself)

BOOST_AUTO_TEST_CASE(the_worst_element_is_named) {
  const Tensor expected = Tensor::from({1.0, 2.0, 3.0, 4.0}, {2, 2});
  BOOST_TEST(difference(expected, expected) == "");
  const Tensor actual = Tensor::from({1.0, 2.0, 3.5, 4.1}, {2, 2});
  BOOST_TEST(difference(actual, expected) ==
             "element [1, 0] is 3.5 instead of 3, an error of 0.14 (at most 1e-12 allowed)");
  BOOST_TEST(difference(actual, expected, {.error = 0.2}) == "");
}

BOOST_AUTO_TEST_CASE(types_have_to_agree) {
  const Tensor expected = Tensor::from({1.0, 2.0}, {2});
  BOOST_TEST(difference(expected.reshaped({2, 1}), expected) == "f64 [2, 1] instead of f64 [2]");
  BOOST_TEST(difference(expected.to(DType::f32), expected) == "f32 [2] instead of f64 [2]");
  BOOST_TEST(difference(expected.to(DType::i32), expected.to(DType::i64)) == "");
  BOOST_TEST(difference(expected.to(DType::boolean), expected.to(DType::i64)) != "");
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_equal_only_themselves) {
  const auto differ = [](double a, double b) {
    return !difference(Tensor::scalar(a), Tensor::scalar(b), {.error = 0.5}).empty();
  };
  BOOST_TEST(!differ(kNan, kNan));
  BOOST_TEST(!differ(kInf, kInf));
  BOOST_TEST(differ(kInf, -kInf));
  BOOST_TEST(differ(kNan, 1));
  BOOST_TEST(differ(1, kNan));
  BOOST_TEST(differ(kInf, 1e308));
  BOOST_TEST(differ(1e308, kInf));
  BOOST_TEST(differ(kInf, kNan));
}

BOOST_AUTO_TEST_CASE(small_values_count_only_if_asked) {
  const Tensor a = Tensor::scalar(1e-20), b = Tensor::scalar(2e-20);
  BOOST_TEST(difference(a, b) == "");
  BOOST_TEST(difference(a, b, {.relative = true}) != "");
  BOOST_TEST(difference(Tensor::scalar(0.0), Tensor::scalar(-0.0), {.relative = true}) == "");
}

BOOST_AUTO_TEST_CASE(a_wrong_value_or_derivative_is_found) {
  Table t;
  t.add("sin/matrix", [](const Inputs& x) { return cos(x[0]); });
  t.add("cos/matrix", [](const Inputs& x) { return cos(x[0]) + 1e-11; });
  t.add("exp/matrix", [](const Inputs& x) { return exp(x[0]); });
  // The value is right and the first derivative too, the second is not.
  t.add("tanh/matrix", [](const Inputs& x) {
    const Var y = tanh(x[0]);
    const Var slope = stop_gradient(1 - y * y);
    return stop_gradient(y) + slope * (x[0] - stop_gradient(x[0]));
  });
  t.add("mul/column_row", [](const Inputs& x) { return x[0] * stop_gradient(x[1]); });
  t.add("exp/unheard_of", [](const Inputs& x) { return exp(x[0]); });
  t.add("exp/vector", [](const Inputs&) -> Var { fail("no such luck"); });
  const auto mistakes = t.mistakes("pointwise");
  BOOST_TEST(about("sin/matrix", mistakes).size() ==
             12);  // three values, compiled and interpreted, f64 and f32
  BOOST_TEST(about("cos/matrix", mistakes).size() == 2);
  BOOST_TEST(about("exp/matrix", mistakes).empty());
  const auto second = about("tanh/matrix", mistakes);
  BOOST_REQUIRE(second.size() == 4);
  BOOST_TEST(second[0].starts_with("tanh/matrix: grad2_0: element"));
  BOOST_TEST(about("mul/column_row: grad1", mistakes).size() == 1);
  BOOST_TEST(about("mul/column_row: grad0", mistakes).empty());
  BOOST_TEST(about("exp/vector", mistakes).at(0) == "exp/vector: no such luck");
  BOOST_TEST(about("exp/unheard_of", mistakes).at(0) ==
             "exp/unheard_of: in the table, but not among the vectors");
  BOOST_TEST(about("abs/matrix", mistakes).at(0) == "abs/matrix: among the vectors, but not in the table");
}

// Ops that PyTorch has nothing to say about, and why.
const std::map<std::string_view, std::string_view> kWithoutVectors{
    {"random_uniform", "Tapestry's own numbers, checked by known answers in ops/random"},
    {"random_permutation", "likewise"},
    {"dropout", "random; a multiplication otherwise"},
    {"check_labels", "gives its input"},
    {"gelu_slope", "the vectors of gelu have it as the derivative"},
    {"pick", "a part of the losses of labels"}};

BOOST_AUTO_TEST_CASE(every_op_has_vectors) {
  std::set<std::string, std::less<>> covered;
  for (const auto& entry : std::filesystem::directory_iterator(oracle::vectors("any").parent_path())) {
    for (const auto& [name, attributes] : load_safetensors(entry.path()).metadata)
      covered.insert(name.substr(0, name.find('/')));
  }
  for (const Op* op : registry().all()) {
    const bool excused = kWithoutVectors.contains(op->name);
    BOOST_TEST(covered.contains(op->name) != excused,
               op->name << (excused ? ": has vectors, but is excused" : ": has no vectors"));
  }
  for (const auto& [name, reason] : kWithoutVectors)
    BOOST_TEST(registry().find(name) != nullptr, name << ": excused, but not an op");
}

BOOST_AUTO_TEST_SUITE_END()
