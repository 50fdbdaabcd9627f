// conv2d and conv_transpose2d against the vectors of tests/oracle/families/conv.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/conv.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

Function conv(const Conv2dOptions& options = {}) {
  return [=](const Inputs& x) { return conv2d(x[0], x[1], options); };
}
Function transposed(const ConvTranspose2dOptions& options = {}) {
  return [=](const Inputs& x) { return conv_transpose2d(x[0], x[1], options); };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_conv)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  t.add("conv2d", {"plain", "pointwise", "one", "empty"}, conv());
  t.add("conv2d", {"same", "same_even"}, conv({.padding = Padding::same}));
  t.add("conv2d/same_stride", conv({.stride = 2, .padding = Padding::same}));
  t.add("conv2d/stride_remainder", conv({.stride = {2, 3}}));
  t.add("conv2d/dilation", conv({.padding = {1, 2}, .dilation = {2, 3}}));
  t.add("conv2d/groups", conv({.groups = 3}));
  t.add("conv2d/depthwise", conv({.padding = Padding::same, .groups = 5}));
  t.add("conv2d/depthwise_twice", conv({.groups = 3}));
  t.add("conv2d/pointwise_stride", conv({.stride = 2}));
  t.add("conv2d/outside", conv({.padding = 3}));
  t.add("conv2d/sides", conv({.padding = Padding({1, 0}, {0, 2})}));
  t.add("conv2d_images/plain", transposed());
  t.add("conv2d_images/stride", transposed({.stride = 2, .padding = 1, .output_padding = 1}));
  t.add("conv2d_images/dilation", transposed({.padding = {1, 0}, .dilation = {3, 2}}));
  t.add("conv2d_images/groups", transposed({.groups = 2}));
  t.add("conv2d_images/upsample", transposed({.stride = 2}));
  t.add("conv2d_filters/plain", [](const Inputs& x) { return conv2d_filters(x[0], x[1], {3, 2}); });
  t.check("conv");
}

BOOST_AUTO_TEST_SUITE_END()
