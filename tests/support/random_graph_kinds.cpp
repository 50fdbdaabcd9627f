// The vocabulary of random programs. Arguments of functions are kept inside their domains, and sizes in
// bounds: what overflows or is no number proves nothing.
#include "random_graph.hpp"

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

namespace tapestry::test {
namespace {

using M = Maker&;

Axes axes_of(M m) { return Axes(m.some_axes(m.x().rank())); }

/// Along its axes, kept or not.
template <class Op>
Var reduced(M m, Op op) {
  const Axes axes = axes_of(m);
  return op(m.x(), axes, m.chance(0.5));
}

/// Used again by the elements that it was made of, as in a normalisation.
template <class Op>
Var spread_back(M m, Op op) {
  const Var x = m.x();
  const std::vector<int> axes = m.some_axes(x.rank());
  Var y = x;
  switch (m.below(3)) {
    case 0:
      y = op(x, Axes(axes), kKeepDims);
      break;
    case 1: {  // through a view
      Shape kept = x.shape();
      for (const int axis : axes) kept[axis] = 1;
      y = reshape(op(x, Axes(axes), false), kept);
      break;
    }
    default: {
      Shape kept = x.shape();
      for (const int axis : axes) kept[axis] = 1;
      y = broadcast_to(reshape(op(x, Axes(axes), false), kept), x.shape());
    }
  }
  switch (m.below(4)) {
    case 0:
      return x - y;
    case 1:
      return x * y;
    case 2:
      return x / (abs(y) + 0.5);
    default:
      return exp(-abs(x - y)) + y;
  }
}

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

Var affine(M m) {
  const Var x = m.in_base();
  require(x.rank() >= 1, "a scalar is no matrix");
  const std::int64_t in = x.shape().back(), out = m.below(12) + 1;
  const Var w = m.parameter({in, out});
  const double scale = 1 / std::sqrt(double(in) + 1);
  return m.chance(0.5) ? linear(x * scale, w, m.parameter({out})) : matmul(x, w * scale);
}

/// Rows with rows, or columns with columns.
Var gram(M m) {
  const Var x = m.in_base();
  require(x.rank() >= 2 && x.rank() <= 4, "no matrix");
  const double scale = 1 / (double(x.shape().back()) + 1);
  return m.chance(0.5) ? matmul(x, x, {false, true}) * scale : matmul(transpose(x), x) * scale;
}

Var product(M m) {
  const Var a = m.in_base(0), b = m.in_base(1);
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

DType other_of(M m) { return m.base() == DType::f64 ? DType::f32 : DType::f64; }

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
  const Var a = m.x(0), b = m.x(1);
  const auto which = m.below(3);
  return which == 0 ? logical_and(a, b) : which == 1 ? logical_or(a, b) : logical_not(a);
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

template <Var (*f)(const Operand&)>
Var of(M m) {
  return f(m.x());
}

}  // namespace

const std::vector<Kind>& kinds() {
  // clang-format off
  static const std::vector<Kind> kKinds = {
      // leaves
      {"input", "", 0, [](M m) { return m.input(m.shape(), m.base()); }},
      {"bf16 input", "", 0, [](M m) { return m.input(m.shape(), DType::bf16); }},
      {"bool input", "", 0, [](M m) { return m.input(m.shape(), DType::boolean); }},
      {"labels", "", 0, [](M m) { return m.labels(m.shape(), 7); }},
      {"parameter", "", 0, [](M m) { return m.parameter(m.shape()); }},
      {"constant", "", 0, [](M m) { return m.tape().constant(m.values(m.shape(), m.base())); }},
      // elementwise
      {"neg", "f", 2, [](M m) { return -m.x(); }},
      {"abs", "f", 2, of<abs>}, {"sin", "f", 1, of<sin>}, {"cos", "f", 1, of<cos>},
      {"tanh", "f", 2, of<tanh>}, {"erf", "f", 1, of<erf>}, {"sigmoid", "f", 2, of<sigmoid>},
      {"relu", "f", 3, of<relu>}, {"gelu", "f", 2, of<gelu>}, {"gelu_tanh", "f", 1, of<gelu_tanh>},
      {"silu", "f", 1, of<silu>}, {"softplus", "f", 1, of<softplus>}, {"exp", "f", 3, of<exp>},
      {"expm1", "f", 1, of<expm1>}, {"square", "f", 2, of<square>}, {"floor", "f", 1, of<floor>},
      {"sign", "f", 1, of<sign>}, {"stop_gradient", "f", 1, of<stop_gradient>},
      {"leaky_relu", "f", 1, [](M m) { return leaky_relu(m.x(), 0.1); }},
      {"elu", "f", 1, [](M m) { return elu(m.x()); }},
      {"clamp", "f", 1, [](M m) { return clamp(m.x(), -0.7, 0.9); }},
      {"log", "f", 1, [](M m) { return log(abs(m.x()) + 0.5); }},
      {"log1p", "f", 1, [](M m) { return log1p(abs(m.x())); }},
      {"sqrt", "f", 1, [](M m) { return sqrt(abs(m.x()) + 0.25); }},
      {"rsqrt", "f", 1, [](M m) { return rsqrt(m.x() * m.x() + 0.5); }},
      {"pow", "f", 1, [](M m) { return pow(abs(m.x()) + 0.5, m.chance(0.5) ? 2.0 : 1.7); }},
      {"scale", "f", 3, [](M m) { return m.x() * m.number(-2, 2); }},
      {"shift", "f", 2, [](M m) { return m.x() + m.number(-2, 2); }},
      {"zero", "f", 1, [](M m) { return m.chance(0.5) ? m.x() + 0 : m.x() * 1; }},
      {"reciprocal", "f", 1, [](M m) { return 1 / (m.x() * m.x() + 1); }},
      {"add", "ff", 8, [](M m) { return m.x() + m.like_first(1); }},
      {"sub", "ff", 6, [](M m) { return m.x() - m.like_first(1); }},
      {"mul", "ff", 8, [](M m) { return m.x() * m.like_first(1); }},
      {"div", "ff", 3, [](M m) { return m.x() / (abs(m.like_first(1)) + 0.5); }},
      {"maximum", "ff", 2, [](M m) { return maximum(m.x(), m.like_first(1)); }},
      {"minimum", "ff", 2, [](M m) { return minimum(m.x(), m.like_first(1)); }},
      {"mul_no_nan", "ff", 1, [](M m) { return mul_no_nan(m.x(), m.like_first(1)); }},
      {"compare", "ff", 3, compared},
      {"where less", "ff", 2, [](M m) { const Var b = m.like_first(1); return where(m.x() < b, m.x() * 2, b); }},
      {"where", "bff", 4, [](M m) { return where(m.x(0), m.x(1), cast(m.x(2), m.x(1).dtype())); }},
      {"logical", "bb", 2, logical},
      {"of bool", "b", 2, [](M m) { return cast(m.x(), m.base()); }},
      {"any", "b", 1, [](M m) { const Axes a = axes_of(m); return m.chance(0.5) ? any(m.x(), a) : all(m.x(), a); }},
      {"to int", "f", 1, [](M m) { return cast(m.x() * 4, m.chance(0.5) ? DType::i32 : DType::i64); }},
      {"of ints", "ii", 2, of_integers},
      {"of int", "i", 2, [](M m) { return cast(m.x(), m.base()) * 0.125; }},
      {"to bf16", "f", 2, [](M m) { return cast(m.x(), DType::bf16); }},
      {"to base", "f", 2, [](M m) { return m.in_base(); }},
      {"in other dtype", "f", 1, [](M m) { return cast(tanh(cast(m.x(), other_of(m))), m.base()); }},
      // reductions
      {"sum", "f", 4, [](M m) { return reduced(m, sum) * 0.25; }},
      {"mean", "f", 4, [](M m) { return reduced(m, mean); }},
      {"max", "f", 3, [](M m) { return reduced(m, max); }},
      {"min", "f", 2, [](M m) { return reduced(m, min); }},
      {"norm", "f", 1, [](M m) { return reduced(m, norm); }},
      {"logsumexp", "f", 2, [](M m) { return reduced(m, logsumexp); }},
      {"prod", "f", 1, [](M m) { return prod(tanh(m.x()) + 1, axes_of(m), m.chance(0.5)); }},
      {"var", "f", 2, [](M m) { return var(m.x(), axes_of(m), m.chance(0.5), m.chance(0.3) ? 1 : 0); }},
      {"stddev", "f", 1, [](M m) { return stddev(m.x(), axes_of(m), m.chance(0.5)); }},
      {"argmax", "f", 1, [](M m) { return cast(argmax(m.x(), axes_of(m), m.chance(0.5)), m.base()) * 0.1; }},
      {"centred by mean", "f", 4, [](M m) { return spread_back(m, mean); }},
      {"centred by max", "f", 4, [](M m) { return spread_back(m, max); }},
      {"centred by sum", "f", 3, [](M m) { return spread_back(m, [](const Var& x, const Axes& a, bool k) { return sum(x, a, k) * 0.25; }); }},
      {"centred by lse", "f", 2, [](M m) { return spread_back(m, logsumexp); }},
      {"softmax", "f", 4, [](M m) { return softmax(m.x(), m.axis(m.x().rank())); }},
      {"log_softmax", "f", 2, [](M m) { return log_softmax(m.x(), m.axis(m.x().rank())); }},
      {"statistics", "f", 3, statistics}, {"norm layer", "f", 4, normalised},
      {"flattened rows", "f", 3, flattened_rows}, {"cross entropy", "f", 3, cross_entropy},
      // matrices
      {"affine", "f", 5, affine}, {"gram", "f", 2, gram}, {"matmul", "ff", 3, product},
      // arrangement
      {"merge axes", "f", 2, merged_axes}, {"split axis", "f", 2, split_axis},
      {"flatten", "f", 1, [](M m) { return reshape(m.x(), {m.x().shape().elements()}); }},
      {"expand", "f", 1, [](M m) { require(m.x().rank() < 4, "rank"); return expand_dims(m.x(), {int(m.below(m.x().rank() + 1))}); }},
      {"squeeze", "f", 1, [](M m) { return squeeze(m.x()); }},
      {"permute", "f", 3, permuted}, {"slice", "f", 4, sliced}, {"pad", "f", 2, padded},
      {"flip", "f", 1, [](M m) { return flip(m.x(), axes_of(m)); }},
      {"join", "ff", 3, joined}, {"repeat", "f", 2, repeated}, {"take", "f", 2, picked},
      {"at argmax", "f", 1, picked_by_argmax}, {"count", "f", 1, counted},
      // chance and memory
      {"dropout", "f", 2, dropped}, {"noise", "f", 1, noisy}, {"state", "f", 3, remembered},
  };
  // clang-format on
  return kKinds;
}

}  // namespace tapestry::test
