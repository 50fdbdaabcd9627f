// Pools against the vectors of tests/oracle/families/pool.py.
#include "../support/oracle.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/shape.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

Function largest(Extent2d window, const PoolOptions& options = {}) {
  return [=](const Inputs& x) { return max_pool2d(x[0], window, options); };
}
Function mean_of(Extent2d window, const PoolOptions& options = {}, bool count_padding = true) {
  return [=](const Inputs& x) { return avg_pool2d(x[0], window, options, count_padding); };
}
Function adaptive(Var (*pool)(const Operand&, Extent2d), Extent2d results) {
  return [=](const Inputs& x) { return pool(x[0], results); };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_pool)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  const PoolOptions overlap{.stride = 2, .padding = 1}, one{.stride = 1};
  t.add("max_pool2d", {"plain", "remainder", "many_channels", "empty", "ties"}, largest(2));
  t.add("avg_pool2d", {"plain", "remainder", "many_channels", "empty"}, mean_of(2));
  t.add("max_pool2d/three", largest(3));
  t.add("avg_pool2d/three", mean_of(3));
  t.add("max_pool2d/overlap", largest(3, overlap));
  t.add("avg_pool2d/overlap", mean_of(3, overlap));
  t.add("max_pool2d/stride_1", largest({2, 3}, one));
  t.add("avg_pool2d/stride_1", mean_of({2, 3}, one));
  t.add("max_pool2d/one", largest(1));
  t.add("avg_pool2d/one", mean_of(1));
  t.add("max_pool2d/dilation", largest(2, {.stride = 1, .dilation = 2}));
  t.add("avg_pool2d/inside", mean_of(3, overlap, false));
  t.add("adaptive_max_pool2d/even", adaptive(adaptive_max_pool2d, {2, 3}));
  t.add("adaptive_avg_pool2d/even", adaptive(adaptive_avg_pool2d, {2, 3}));
  t.add("adaptive_max_pool2d/uneven", adaptive(adaptive_max_pool2d, {3, 4}));
  t.add("adaptive_avg_pool2d/uneven", adaptive(adaptive_avg_pool2d, {3, 4}));
  t.add("adaptive_max_pool2d/one", adaptive(adaptive_max_pool2d, 1));
  t.add("adaptive_avg_pool2d/one", adaptive(adaptive_avg_pool2d, 1));
  t.add("global_avg_pool2d/plain", [](const Inputs& x) { return global_avg_pool2d(x[0]); });
  t.add("global_max_pool2d/plain", [](const Inputs& x) { return global_max_pool2d(x[0]); });
  t.add("max_pool2d_index/plain",
        [](const Inputs& x) { return cast(max_pool2d_index(x[0], 2), DType::i64); });
  const auto put = [](const Var& x, const Var& g) { return gradient(max_pool2d(x, 2), x, g); };
  t.add("max_pool2d_put/plain", [=](const Inputs& x) { return put(x[0], x[1]); });
  t.add("max_pool2d_pick/plain", [=](const Inputs& x) {
    const Var y = max_pool2d(x[0], 2), g = reshape(y, y.shape());
    return gradient(put(x[0], g), g, x[1]);
  });
  t.add("avg_pool2d_images/plain", [](const Inputs& x) {
    const Var image = reshape(x[0].tape().constant(Tensor(x[0].dtype(), {2, 4, 6, 3})), {2, 4, 6, 3});
    return gradient(avg_pool2d(image, 2), image, x[0]);
  });
  t.check("pool");
}

BOOST_AUTO_TEST_SUITE_END()
