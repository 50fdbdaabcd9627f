#include "random_graph_parts.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>
#include <tapestry/ops/softmax.hpp>

#include <algorithm>
#include <cmath>

namespace tapestry::test::steps {

/// Rows over several axes at once: reshaped, reduced, reshaped back.
Var flattened_rows(M m) {
  const Var x = m.x();
  require(x.rank() >= 2, "no axes to join");
  const auto keep = int(m.below(x.rank() - 1)) + 1;
  Shape flat;
  for (int i = 0; i < keep; ++i) flat.push_back(x.shape()[i]);
  std::int64_t rest = 1;
  for (int i = keep; i < x.rank(); ++i) rest *= x.shape()[i];
  flat.push_back(rest);
  const Var y = reshape(x, flat);
  const Var z = m.chance(0.5) ? y - mean(y, -1, kKeepDims) : y - max(y, -1, kKeepDims);
  return m.chance(0.5) ? reshape(z, x.shape()) : z;
}

Var normalised(M m) {
  const Var x = m.in_base();
  require(x.rank() >= 1, "no features");
  const Shape features{x.shape().back()};
  const Var gamma = m.parameter(features), beta = m.parameter(features);
  if (x.rank() == 1 || m.chance(0.5)) return layernorm(x, gamma, beta, 1e-2);
  return batchnorm(x, gamma, beta, 1e-2);
}

/// By means and variances spelled out, as the running statistics of a batch norm are.
Var statistics(M m) {
  const Var x = m.x();
  const std::vector<int> chosen = m.some_axes(x.rank());
  const Axes axes(chosen);
  const Var centred = x - mean(x, axes, kKeepDims);
  return centred * rsqrt(mean(centred * centred, axes, kKeepDims) + 0.1);
}

Var cross_entropy(M m) {
  Var x = m.in_base();
  require(x.rank() >= 1 && x.shape().back() > 0, "no classes");
  std::int64_t rows = 1;
  for (int i = 0; i + 1 < x.rank(); ++i) rows *= x.shape()[i];
  require(rows > 0, "no rows");
  if (x.rank() != 2) x = reshape(x, {rows, x.shape().back()});
  const Var labels = m.labels({rows}, x.shape()[1]);
  if (m.chance(0.2)) return multiclass_hinge(x, labels);
  CrossEntropyOptions options;
  if (m.chance(0.3)) options.label_smoothing = 0.1;
  if (m.chance(0.2)) options.ignore_index = 0;
  return softmax_cross_entropy(x, labels, options);
}

/// Of bf16 now and then: kernels of their own multiply that.
bool in_halves(M m) { return m.chance(m.x().dtype() == DType::bf16 ? 0.8 : 0.2); }

Var affine(M m) {
  const bool halves = in_halves(m);
  const Var x = halves ? m.in_bf16() : m.in_base();
  require(x.rank() >= 1, "a scalar is no matrix");
  const std::int64_t in = x.shape().back(), out = (m.chance(0.1) ? 40 : 0) + m.below(12) + 1;
  const double scale = 1 / std::sqrt(double(in) + 1);
  if (halves && m.chance(0.5)) return matmul(x, m.input({in, out}, DType::bf16)) * (scale / 4);
  const auto parameter = [&](const Shape& shape) {
    const Var p = m.parameter(shape);
    return halves ? cast(p, DType::bf16) : p;
  };
  const Var w = parameter({in, out});
  return m.chance(0.5) ? linear(x * scale, w, parameter({out})) : matmul(x, w * scale);
}

/// Rows with rows, or columns with columns.
Var gram(M m) {
  const Var x = in_halves(m) ? m.in_bf16() : m.in_base();
  require(x.rank() >= 2 && x.rank() <= 4, "no matrix");
  const bool rows = m.chance(0.5);
  const double scale = 1 / (double(x.shape()[x.rank() - (rows ? 1 : 2)]) + 1);
  return (rows ? matmul(x, x, {false, true}) : matmul(transpose(x), x)) * scale;
}

Var product(M m) {
  const bool halves = in_halves(m);
  const Var a = halves ? m.in_bf16(0) : m.in_base(0), b = halves ? m.in_bf16(1) : m.in_base(1);
  require(a.rank() >= 1 && b.rank() >= 1, "a scalar is no matrix");
  const double scale = 1 / (double(a.shape().back()) + 1);
  for (const bool transpose_b : {false, true}) {
    const std::int64_t inner = b.rank() == 1 ? b.shape()[0]
                               : transpose_b ? b.shape().back()
                                             : b.shape()[b.rank() - 2];
    if (inner == a.shape().back()) return matmul(a, b, {false, transpose_b}) * scale;
  }
  fail("inner dimensions differ");
}

Var merged_axes(M m) {
  const Shape from = m.x().shape();
  require(from.rank() >= 2, "no axes to merge");
  const auto at = int(m.below(from.rank() - 1));
  Shape to;
  for (int i = 0; i < from.rank(); ++i) {
    if (i == at + 1) {
      to[to.rank() - 1] *= from[i];
    } else {
      to.push_back(from[i]);
    }
  }
  return reshape(m.x(), to);
}

Var split_axis(M m) {
  const Shape from = m.x().shape();
  require(from.rank() >= 1 && from.rank() < 4, "no axis to split");
  const int at = m.axis(from.rank());
  std::int64_t factor = 2;
  while (factor < from[at] && from[at] % factor != 0) ++factor;
  if (from[at] % factor != 0) factor = 1;
  Shape to;
  for (int i = 0; i < from.rank(); ++i) {
    if (i != at) {
      to.push_back(from[i]);
    } else {
      to.push_back(from[i] / factor);
      to.push_back(factor);
    }
  }
  return reshape(m.x(), to);
}

Var permuted(M m) {
  const int rank = m.x().rank();
  require(rank >= 2, "no axes to permute");
  Shape order;
  for (const std::int64_t i : permutation(rank, std::uint64_t(m.below(1000)))) order.push_back(i);
  return permute(m.x(), order);
}

Var sliced(M m) {
  const Shape from = m.x().shape();
  require(from.rank() >= 1, "no axis to slice");
  const int axis = m.chance(0.5) ? 0 : m.axis(from.rank());
  const std::int64_t n = from[axis], start = m.below(n + 1) / 2;
  return slice(m.x(), axis, start, n - m.below(n + 1) / 3, m.below(3) == 0 ? 2 : 1);
}

Var padded(M m) {
  const int rank = m.x().rank();
  require(rank >= 1, "no axis to pad");
  Shape lo = Shape::filled(rank, 0), hi = lo, between = lo;
  const int axis = m.axis(rank);
  lo[axis] = m.below(3);
  hi[axis] = m.below(3);
  between[axis] = m.below(2);
  return pad(m.x(), lo, hi, m.chance(0.5) ? 0 : 0.5, between);
}

Var joined(M m) {
  const Var a = m.x(0), b = m.like_first(1);
  require(a.rank() >= 1, "no axis to join along");
  return m.chance(0.3) ? stack({a, b}, m.axis(a.rank())) : concat({a, b, a}, m.axis(a.rank()));
}

Var repeated(M m) {
  Shape to = m.x().shape();
  for (std::int64_t& extent : std::span(&to[0], to.size())) {
    if (extent == 1 && m.chance(0.7)) extent = 3;
  }
  if (to == m.x().shape()) {
    Shape more{2};
    for (const std::int64_t extent : to) more.push_back(extent);
    to = more;
  }
  return broadcast_to(m.x(), to);
}

Var picked(M m) {
  const Shape from = m.x().shape();
  require(from.rank() >= 1, "no axis to pick along");
  const int axis = m.axis(from.rank());
  require(from[axis] > 0, "nothing to pick");
  const Var indices = m.labels({m.below(5) + 1}, from[axis]);
  return take(m.x(), indices, axis);
}

/// The elements at the maximum of each row, added to others.
Var picked_by_argmax(M m) {
  const Var x = m.in_base();
  require(x.rank() == 2 && x.shape().elements() > 0, "no rows");
  const Var best = argmax(x, 1);
  if (m.chance(0.5)) return take(m.parameter({x.shape()[1]}), best, 0);
  return scatter_add(m.parameter({x.shape()[1]}), best, sum(x, 1), 0);
}

Var counted(M m) {
  const Var indices = m.labels(m.x().rank() == 0 ? Shape{3} : Shape{m.x().shape()[0]}, 4);
  const Var hot = one_hot(indices, 4, m.base());
  return sum(hot, 0) * 0.1;
}

Var dropped(M m) {
  const Var x = m.in_base();
  return dropout(x, m.chance(0.5) ? 0.8 : 0.5, m.key());
}

Var noisy(M m) {
  const Var x = m.in_base();
  if (m.chance(0.3)) return x + 0.1 * random_normal(m.tape(), m.key(), x.shape(), x.dtype());
  return x + random_uniform(m.tape(), m.key(), x.shape(), x.dtype(), -1, 1);
}

/// Read, written, and read again as written.
Var remembered(M m) {
  const Var x = m.x();
  const State old = m.statistic(x.type());
  const Var before = m.tape().read(old);
  m.tape().write(old, before * 0.75 + stop_gradient(x) * 0.25);
  return m.chance(0.5) ? x * before : x - stop_gradient(m.tape().read(old));
}

/// Its new value is made by the very loop that reads the old one, but not element by element.
Var folded(M m) {
  const Var x = m.x();
  const std::vector<int> axes = m.some_axes(x.rank());
  Shape kept = x.shape();
  for (const int axis : axes) kept[axis] = 1;
  const State old = m.statistic({x.dtype(), kept});
  const Var y = tanh(x * m.tape().read(old));
  m.tape().write(
      old, stop_gradient(m.chance(0.5) ? mean(y, Axes(axes), kKeepDims) : max(y, Axes(axes), kKeepDims)));
  return y;
}

/// Two states that get each other's value.
Var swapped(M m) {
  const Var x = m.x();
  const State a = m.statistic(x.type()), b = m.statistic(x.type());
  const Var old_a = m.tape().read(a), old_b = m.tape().read(b);
  m.tape().write(a, old_b);
  m.tape().write(b, m.chance(0.5) ? old_a : tanh(old_a + stop_gradient(x)));
  return m.chance(0.5) ? x + old_a : x;
}

/// As a view: the memory is another value's.
Var reshaped_state(M m) {
  const Var x = m.x();
  const State old = m.statistic({x.dtype(), {x.shape().elements()}});
  const Var before = m.tape().read(old);
  m.tape().write(old, stop_gradient(m.chance(0.5) ? reshape(tanh(x), old.type().shape) : flip(before)));
  return x * reshape(before, x.shape());
}

Var scalar_loss(M m) {
  const Var x = m.in_base(0), y = m.in_base(1);
  if (x.shape() == y.shape()) return mean_squared_error(x, y);
  return l2_penalty(x, 0.25) + sum_to(y, {});
}

Var inferred(M m) {
  const Var x = m.in_base();
  require(x.rank() >= 1, "no features");
  const Shape c{x.shape().back()};
  const State mean = m.statistic({x.dtype(), c}), variance = m.statistic({x.dtype(), c});
  m.tape().write(mean, m.tape().read(mean) * 0.9);
  return batchnorm_inference(x, m.parameter(c), m.parameter(c), mean, abs(m.tape().read(variance)), 1e-2);
}

Var hits(M m) {
  const Var x = m.in_base();
  require(x.rank() == 2 && x.shape().elements() > 0, "no rows");
  return cast(accuracy(x, m.labels({x.shape()[0]}, x.shape()[1])), m.base());
}

Var mirrored(M m) {
  const int rank = m.x().rank(), axis = m.axis(rank);
  require(m.x().shape()[axis] > 2, "too short");
  Shape lo = Shape::filled(rank, 0), hi = lo;
  lo[axis] = m.below(3);
  hi[axis] = m.below(3);
  return pad_reflect(m.x(), lo, hi);
}

Var shuffled(M m) {
  require(m.x().rank() >= 1 && m.x().shape()[0] > 0, "nothing to shuffle");
  return take(m.x(), random_permutation(m.tape(), m.key(), m.x().shape()[0]), 0);
}

Var compared(M m) {
  const Var a = m.x(0), b = m.like_first(1);
  switch (m.below(6)) {
    case 0:
      return a < b;
    case 1:
      return a <= b;
    case 2:
      return a > b;
    case 3:
      return a >= b;
    case 4:
      return equal(a, b);
    default:
      return not_equal(a, b);
  }
}

Var logical(M m) {
  const Var a = m.x(0)<m.like_first(1), b = m.x(0)> - 0.5;
  const auto which = m.below(3);
  return which == 0 ? logical_and(a, b) : which == 1 ? logical_or(a, b) : logical_not(a);
}

Var any_or_all(M m) {
  const Var positive = m.x() > 0.3;
  const Axes axes = axes_of(m);
  const Var y = m.chance(0.5) ? any(positive, axes) : all(positive, axes);
  return m.chance(0.5) ? cast(y, m.base()) : y;
}

Var of_integers(M m) {
  const Var a = m.x(0), b = m.like_first(1);
  switch (m.below(5)) {
    case 0:
      return a + b;
    case 1:
      return a * b;
    case 2:
      return a / (b * b + Tensor::scalar(std::int64_t{1}).to(a.dtype()));
    case 3:
      return maximum(a, b);
    default:
      return sum(a, axes_of(m), m.chance(0.5));
  }
}

}  // namespace tapestry::test::steps
