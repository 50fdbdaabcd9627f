#include <tapestry/models/model.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/pointwise.hpp>

namespace tapestry {

Var Model::loss(const Operand& x, const Operand& labels, Mode mode) const {
  const Var data =
      softmax_cross_entropy({logits(x, mode), x.at()}, labels, {.label_smoothing = label_smoothing()});
  const std::optional<Var> weights = penalty(data.tape());
  return weights ? Operand(data, x.at()) + *weights : data;
}

}  // namespace tapestry
