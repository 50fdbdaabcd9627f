#include <tapestry/core/registry.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/rules.hpp>

namespace tapestry {
namespace {

using C = const Call&;

struct NormAttrs {
  double eps;
  void fields(FieldVisitor& f) const { f("eps", eps); }
  bool operator==(const NormAttrs&) const = default;
};

double eps_of(C c) { return c.attrs.as<NormAttrs>().eps; }

/// x [..., c], the others [c].
template <int min_rank>
Type norm_type(const Signature& s) {
  const Shape& shape = s.x[0].shape;
  require_type(shape.rank() >= min_rank, "needs at least ", min_rank, min_rank == 1 ? " axis" : " axes");
  for (const Type& x : s.x.subspan(1)) {
    require_type(x.shape == Shape{shape.back()}, "the operands after the first need shape [", shape.back(),
                 ']');
  }
  require_type(s.attrs.as<NormAttrs>().eps >= 0, "eps is negative");
  return rules::floating(s);
}

Axes all_but_last(const Var& x) {
  std::vector<int> axes;
  for (int i = 0; i + 1 < x.rank(); ++i) axes.push_back(i);
  return Axes(axes);
}

// gamma joins the small factor: the large values are touched by one product, and its derivative needs only
// the sums of the cotangent and of cotangent * (x - mean).
Var normalized(const Var& x, const Var& mean, const Var& variance, const Var& gamma, const Var& beta,
               double eps) {
  return (x - mean) * (gamma * rsqrt(variance + eps)) + beta;
}

constexpr Op kBatchnorm{.name = "batchnorm", .arity = 3, .type = norm_type<2>, .expand = [](C c) {
                          const Var& x = c.x[0];
                          const Axes axes = all_but_last(x);
                          return normalized(x, mean(x, axes, kKeepDims), var(x, axes, kKeepDims), c.x[1],
                                            c.x[2], eps_of(c));
                        }};

constexpr Op kBatchnormInference{
    .name = "batchnorm_inference", .arity = 5, .type = norm_type<1>, .expand = [](C c) {
      return normalized(c.x[0], c.x[3], c.x[4], c.x[1], c.x[2], eps_of(c));
    }};

constexpr Op kLayernorm{.name = "layernorm", .arity = 3, .type = norm_type<1>, .expand = [](C c) {
                          const Var& x = c.x[0];
                          const Var scale = rsqrt(var(x, -1, kKeepDims) + eps_of(c));
                          return (x - mean(x, -1, kKeepDims)) * scale * c.x[1] + c.x[2];
                        }};

}  // namespace

Var batchnorm(const Operand& x, const Operand& gamma, const Operand& beta, double eps) {
  return emit(kBatchnorm, {x, gamma, beta}, NormAttrs{eps});
}
Var batchnorm_inference(const Operand& x, const Operand& gamma, const Operand& beta, const Operand& mean,
                        const Operand& variance, double eps) {
  return emit(kBatchnormInference, {x, gamma, beta, mean, variance}, NormAttrs{eps});
}
Var layernorm(const Operand& x, const Operand& gamma, const Operand& beta, double eps) {
  return emit(kLayernorm, {x, gamma, beta}, NormAttrs{eps});
}

void register_norm(Registry& registry) {
  for (const Op* op : {&kBatchnorm, &kBatchnormInference, &kLayernorm}) registry.add(*op);
}

}  // namespace tapestry
