#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/optim/clip.hpp>

namespace tapestry {

Var global_norm(std::span<const Var> gradients) {
  require(!gradients.empty(), "global_norm needs at least one gradient");
  Var total = sum(square(gradients.front()));
  for (const Var& g : gradients.subspan(1)) total = total + sum(square(g));
  return sqrt(total);
}

std::vector<Var> clip_by_global_norm(std::span<const Var> gradients, double limit) {
  require(limit > 0, "gradients can't be clipped to a norm of ", limit);
  // limit / max(norm, limit): exactly 1 where nothing is to be done, and no division by 0.
  const Var scale = limit / maximum(global_norm(gradients), limit);
  std::vector<Var> clipped;
  for (const Var& g : gradients) clipped.push_back(g * scale);
  return clipped;
}

}  // namespace tapestry
