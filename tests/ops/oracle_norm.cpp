// Batch and layer norm against the vectors of tests/oracle/families/norm.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <numeric>

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
/// All axes but the last.
Axes batch_axes(const Var& x) {
  std::vector<int> axes(std::size_t(x.rank() - 1));
  std::iota(axes.begin(), axes.end(), 0);
  return Axes(axes);
}
Function running_mean(double momentum) {
  return [=](const Inputs& x) { return momentum * x[1] + (1 - momentum) * mean(x[0], batch_axes(x[0])); };
}
Function running_variance(double momentum) {
  return [=](const Inputs& x) { return momentum * x[1] + (1 - momentum) * var(x[0], batch_axes(x[0])); };
}
Function layer(double eps) {
  return [=](const Inputs& x) { return layernorm(x[0], x[1], x[2], eps); };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_norm)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  t.add("batchnorm_train", kShapes, train(1e-5));
  t.add("batchnorm_train", {"batch_of_one", "constant_column", "far"}, train(1e-5));
  t.add("batchnorm_train/repeated", [](const Inputs& x) {
    return batchnorm(x[0], squeeze(slice(x[0], 0, 0, 1), 0), squeeze(slice(x[0], 0, 1, 2), 0), 1e-5);
  });
  t.add("batchnorm_train/eps_1e-3", train(1e-3));
  t.add("batchnorm_eval", kShapes,
        [](const Inputs& x) { return batchnorm_inference(x[0], x[1], x[2], x[3], x[4], 1e-5); });
  t.add("batchnorm_running_mean", kShapes, running_mean(0.9));
  t.add("batchnorm_running_mean/momentum_0.5", running_mean(0.5));
  t.add("batchnorm_running_variance", kShapes, running_variance(0.9));
  t.add("batchnorm_running_variance/batch_of_one", running_variance(0.9));
  t.add("layernorm", kShapes, layer(1e-5));
  t.add("layernorm", {"vector", "constant_row"}, layer(1e-5));
  t.add("layernorm/eps_1e-3", layer(1e-3));
  t.check("norm");
}

BOOST_AUTO_TEST_SUITE_END()
