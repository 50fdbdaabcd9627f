#include <tapestry/core/registry.hpp>
#include <tapestry/ops/axes.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/softmax.hpp>

namespace tapestry {
namespace {

using C = const Call&;

struct SoftmaxAttrs {
  int axis;
  void fields(FieldVisitor& f) const { f("axis", axis); }
  bool operator==(const SoftmaxAttrs&) const = default;
};

Type softmax_type(const Signature& s) {
  const int axis = s.attrs.as<SoftmaxAttrs>().axis;
  const Type type = rules::floating(s);
  require_type(type.shape[axis] > 0, "there are no elements along axis ", axis);
  return type;
}

/// x moved so that its maximum is 0. Softmax doesn't see the move, so neither does its derivative.
Var below_zero(const Var& x, int axis) { return x - stop_gradient(max(x, axis, kKeepDims)); }

constexpr Op kSoftmax{.name = "softmax", .type = softmax_type, .expand = [](C c) {
                        const int axis = c.attrs.as<SoftmaxAttrs>().axis;
                        const Var e = exp(below_zero(c.x[0], axis));
                        return e * (1 / sum(e, axis, kKeepDims));  // one division a row
                      }};

constexpr Op kLogSoftmax{.name = "log_softmax", .type = softmax_type, .expand = [](C c) {
                           const int axis = c.attrs.as<SoftmaxAttrs>().axis;
                           const Var z = below_zero(c.x[0], axis);
                           return z - log(sum(exp(z), axis, kKeepDims));
                         }};

Var along(const Op& op, const Operand& x, int axis) {
  return emit_with(
      op, {x}, [&](std::span<const Var> v) { return SoftmaxAttrs{rules::checked_axis(axis, v[0].rank())}; });
}

}  // namespace

Var softmax(const Operand& x, int axis) { return along(kSoftmax, x, axis); }
Var log_softmax(const Operand& x, int axis) { return along(kLogSoftmax, x, axis); }

void register_softmax(Registry& registry) {
  for (const Op* op : {&kSoftmax, &kLogSoftmax}) registry.add(*op);
}

}  // namespace tapestry
