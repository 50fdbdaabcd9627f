// Steps that layers of nets for images and sequences take.
#include "random_graph_parts.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/ops/attention.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/conv.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/resize.hpp>
#include <tapestry/ops/shape.hpp>

#include <cmath>

namespace tapestry::test::steps {

/// A value as images [n, h, w, c] of a few pixels.
Var images(M m) {
  const Var x = m.in_base();
  Shape shape{1, 1, 1, 1};
  std::int64_t rest = x.shape().elements();
  for (int axis = 0; axis < 3; ++axis) {
    const std::int64_t extent = axis > 0 && rest % 5 == 0 && m.chance(0.5)   ? 5
                                : axis > 0 && rest % 4 == 0 && m.chance(0.3) ? 4
                                : rest % 3 == 0 && m.chance(0.5)             ? 3
                                : rest % 2 == 0                              ? 2
                                                                             : 1;
    shape[axis] = extent;
    rest /= extent;
  }
  shape[3] = rest;
  require(rest < 50, "too many channels");
  return reshape(x, shape);
}

/// Of bf16 now and then: kernels of their own make that.
Var convolved_with(M m, const Var& x, const Var& w, const Conv2dOptions& o) {
  if (m.chance(0.7)) return conv2d(x, w, o);
  return conv2d(cast(x, DType::bf16), cast(w, DType::bf16), o);
}

/// As most convolutions of nets are: their minimal filtering is another kernel.
Var convolved_3x3(M m, const Var& x) {
  const std::int64_t channels = x.shape()[3], out = m.chance(0.2) ? 25 + m.below(10) : m.below(6) + 1;
  const Var w = m.parameter({3, 3, channels, out}) * (1 / (9 * double(channels) + 1));
  Conv2dOptions o{.padding = Padding(1)};
  if (m.chance(0.3)) o.padding = Padding({m.below(3) + 1, m.below(2)}, {m.below(3), m.below(3) + 1});
  return convolved_with(m, x, w, o);
}

Var convolved(M m) {
  const Var x = images(m);
  if (m.chance(0.5)) return convolved_3x3(m, x);
  const std::int64_t channels = x.shape()[3], groups = channels % 2 == 0 && m.chance(0.4) ? 2 : 1;
  const std::int64_t out = groups * (m.below(3) + 1);
  Conv2dOptions o{.stride = m.below(2) + 1, .padding = Padding(1), .groups = groups};
  if (m.chance(0.3)) o.padding = Padding::same;
  const Var w = m.parameter({m.below(3) + 1, m.below(3) + 1, channels / groups, out});
  const Var scaled = w * (1 / (9 * double(channels) + 1));
  if (m.chance(0.7) || o.padding == Padding::same) return convolved_with(m, x, scaled, o);
  const Var up = m.parameter({2, 3, 2, channels}) * 0.1;
  return conv_transpose2d(x, up, {.stride = o.stride, .padding = Padding({1, 1}, {0, 1})});
}

/// Of 16 images or more and of bf16, or a derivative of that by itself, whose operands then are exact:
/// kernels of their own take 16 images at a time, of more than 16 channels or of rows of windows as channels.
Var convolved_batch(M m) {
  const Var x = m.in_bf16();
  require(x.rank() == 4 && x.shape()[0] >= 16, "no batch of images");
  const std::int64_t channels = x.shape()[3], out = m.chance(0.6) ? 17 + m.below(20) : m.below(16) + 1;
  const Extent2d size(m.below(3) + 1, m.below(4) + 1);
  Conv2dOptions o{.stride = {m.below(3) + 1, m.below(2) + 1},
                  .padding = Padding({m.below(3), m.below(3)}, {m.below(3), m.below(3)}),
                  .dilation = m.chance(0.2) ? 2 : 1};
  if (m.chance(0.5)) o.stride = 1;
  const Shape filters{size.h, size.w, channels, out};
  const Var w = m.chance(0.7) ? m.input(filters, DType::bf16) : cast(m.parameter(filters), DType::bf16);
  const Var y = conv2d(x, w, o);
  const double pixels = double(y.shape().elements() / out), taps = double(size.h * size.w);
  require(pixels * double(out * channels) * taps < 1.5e6, "too slow for the reference");
  const auto scaled = [](const Var& sums, double terms) { return sums * (0.25 / std::sqrt(terms + 1)); };
  const auto which = m.below(4);
  if (which > 1) return scaled(y, taps * double(channels));
  const Var g = m.input(y.shape(), DType::bf16);
  return which == 0 ? scaled(gradient(y, x, g), taps * double(out)) : scaled(gradient(y, w, g), pixels);
}

Var pooled(M m) {
  const Var x = images(m);
  if (m.chance(0.3)) {
    const Extent2d results(m.below(x.shape()[1]) + 1, m.below(x.shape()[2]) + 1);
    return m.chance(0.5) ? adaptive_max_pool2d(x, results) : adaptive_avg_pool2d(x, results);
  }
  const Extent2d window(m.below(2) + 1, m.below(2) + 2);
  PoolOptions o{.padding = Padding({0, 1}, {1, 0})};
  if (window.h == 1) o.padding = Padding({0, 1}, 0);
  if (m.chance(0.4)) o.stride = 1;
  return m.chance(0.5) ? max_pool2d(x, window, o) : avg_pool2d(x, window, o, m.chance(0.5));
}

/// What derivatives of pools are made of.
Var pool_parts(M m) {
  const Var x = images(m), y = max_pool2d(x, 2, {.padding = Padding(0, 1)}), g = reshape(y, y.shape());
  return gradient(gradient(y, x, g), g, x * 0.5);
}

Var normalised_images(M m) {
  const Var x = images(m);
  const std::int64_t channels = x.shape()[3];
  const Var gamma = m.parameter({channels}), beta = m.parameter({channels});
  if (m.chance(0.5)) return instancenorm(x, gamma, beta, 1e-2);
  return groupnorm(x, gamma, beta, channels % 2 == 0 && m.chance(0.7) ? 2 : 1, 1e-2);
}

Var resized(M m) {
  const Var x = images(m);
  const auto how = m.chance(0.5) ? Interpolation::nearest : Interpolation::bilinear;
  return resize2d(x, {m.below(4) + 1, m.below(4) + 1}, how);
}

/// A sequence that looks at itself.
Var attended(M m) {
  const Var x = m.chance(0.8) ? m.in_base() : m.in_bf16();
  require(x.rank() >= 2 && x.shape()[x.rank() - 2] > 0, "no sequence");
  const AttentionOptions options{.causal = m.chance(0.5)};
  const Var q = tanh(x), k = x * 0.5;
  if (m.chance(0.5)) return attention(q, k, x, options);
  const std::int64_t length = x.shape()[x.rank() - 2];
  return masked_attention(q, k, x, m.parameter({length, length}) < 0.3, options);
}

}  // namespace tapestry::test::steps
