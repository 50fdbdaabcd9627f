// Norms against the vectors of tests/oracle/families/norm.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

const std::initializer_list<std::string_view> kShapes{"matrix", "image", "sequence", "one_feature"};

Function train(double eps) {
  return [=](const Inputs& x) { return batchnorm(x[0], x[1], x[2], eps); };
}
Function layer(double eps) {
  return [=](const Inputs& x) { return layernorm(x[0], x[1], x[2], eps); };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_norm)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  t.add("batchnorm", kShapes, train(1e-5));
  t.add("batchnorm", {"batch_of_one", "constant_column", "far"}, train(1e-5));
  t.add("batchnorm/repeated", [](const Inputs& x) {
    return batchnorm(x[0], squeeze(slice(x[0], 0, 0, 1), 0), squeeze(slice(x[0], 0, 1, 2), 0), 1e-5);
  });
  t.add("batchnorm/eps_1e-3", train(1e-3));
  t.add("batchnorm_inference", kShapes,
        [](const Inputs& x) { return batchnorm_inference(x[0], x[1], x[2], x[3], x[4], 1e-5); });
  t.add("layernorm", kShapes, layer(1e-5));
  t.add("layernorm", {"vector", "constant_row"}, layer(1e-5));
  t.add("layernorm/eps_1e-3", layer(1e-3));
  const auto group = [](std::int64_t groups, double eps = 1e-5) {
    return [=](const Inputs& x) { return groupnorm(x[0], x[1], x[2], groups, eps); };
  };
  const auto instance = [](double eps) {
    return [=](const Inputs& x) { return instancenorm(x[0], x[1], x[2], eps); };
  };
  t.add("groupnorm", {"image", "sequence"}, group(2));
  t.add("groupnorm/one_group", group(1));
  t.add("groupnorm", {"matrix", "groups_of_one"}, group(3));
  t.add("groupnorm/eps_1e-3", group(2, 1e-3));
  t.add("instancenorm", {"image", "sequence"}, instance(1e-5));
  t.add("instancenorm/eps_1e-3", instance(1e-3));
  t.check("norm");
}

BOOST_AUTO_TEST_SUITE_END()
