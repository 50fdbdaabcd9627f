#include <tapestry/core/registry.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>

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

struct GroupNormAttrs {
  std::int64_t groups;
  double eps;
  void fields(FieldVisitor& f) const {
    f("groups", groups);
    f("eps", eps);
  }
  bool operator==(const GroupNormAttrs&) const = default;
};

Type groupnorm_type(const Signature& s) {
  const auto& [groups, eps] = s.attrs.as<GroupNormAttrs>();
  const Type type = norm_type<2>({s.x, NormAttrs{eps}});
  require_type(groups > 0 && type.shape.back() % groups == 0, groups, " groups can't share ",
               type.shape.back(), " channels");
  return type;
}

constexpr Op kGroupnorm{.name = "groupnorm", .arity = 3, .type = groupnorm_type, .expand = [](C c) {
                          const Shape shape = c.x[0].shape();
                          const auto& [groups, eps] = c.attrs.as<GroupNormAttrs>();
                          const std::int64_t each = shape.back() / groups;
                          std::int64_t pixels = 1;
                          for (int i = 1; i + 1 < shape.rank(); ++i) pixels *= shape[i];
                          const Var x = reshape(c.x[0], {shape[0], pixels, groups, each});
                          const auto grouped = [&](const Var& channels) {
                            return reshape(channels, {groups, each});
                          };
                          const Axes axes{1, 3};
                          return reshape(normalized(x, mean(x, axes, kKeepDims), var(x, axes, kKeepDims),
                                                    grouped(c.x[1]), grouped(c.x[2]), eps),
                                         shape);
                        }};

constexpr Op kInstancenorm{.name = "instancenorm", .arity = 3, .type = norm_type<3>, .expand = [](C c) {
                             const Var& x = c.x[0];
                             std::vector<int> pixels;
                             for (int i = 1; i + 1 < x.rank(); ++i) pixels.push_back(i);
                             const Axes axes(pixels);
                             return normalized(x, mean(x, axes, kKeepDims), var(x, axes, kKeepDims), c.x[1],
                                               c.x[2], eps_of(c));
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
Var groupnorm(const Operand& x, const Operand& gamma, const Operand& beta, std::int64_t groups, double eps) {
  return emit(kGroupnorm, {x, gamma, beta}, GroupNormAttrs{groups, eps});
}
Var instancenorm(const Operand& x, const Operand& gamma, const Operand& beta, double eps) {
  return emit(kInstancenorm, {x, gamma, beta}, NormAttrs{eps});
}

void register_norm(Registry& registry) {
  for (const Op* op : {&kBatchnorm, &kBatchnormInference, &kLayernorm, &kGroupnorm, &kInstancenorm})
    registry.add(*op);
}

}  // namespace tapestry
