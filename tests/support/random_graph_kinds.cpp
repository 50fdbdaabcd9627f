// The vocabulary of random programs. Arguments of functions are kept inside their domains, and sizes in
// bounds: what overflows or is no number proves nothing.
#include "random_graph_parts.hpp"

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

using namespace steps;

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
      {"logical", "ff", 2, logical},
      {"of bool", "b", 2, [](M m) { return cast(m.x(), m.base()); }},
      {"any", "f", 1, any_or_all},
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
      {"squared_deviations", "f", 1, [](M m) { return reduced(m, squared_deviations) * 0.25; }},
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
      {"convolution", "f", 3, convolved}, {"batch convolution", "f", 0, convolved_batch}, {"pool", "f", 3, pooled}, {"pool parts", "f", 1, pool_parts},
      {"image norm", "f", 2, normalised_images}, {"resize", "f", 2, resized}, {"attention", "f", 2, attended},
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
      {"folded state", "f", 2, folded}, {"swapped states", "f", 1, swapped}, {"reshaped state", "f", 1, reshaped_state},
      {"shuffle", "f", 1, shuffled}, {"mirror", "f", 1, mirrored}, {"hits", "f", 1, hits},
      {"inference", "f", 1, inferred}, {"scalar loss", "ff", 2, scalar_loss},
      {"is finite", "f", 1, [](M m) { return where(is_finite(m.x()), m.x(), 0); }},
  };
  // clang-format on
  return kKinds;
}

}  // namespace tapestry::test
