#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>

namespace tapestry {

Graph remove_dead_code(const Graph& graph) {
  return rewrite(graph, [](Tape&, const Graph&, ValueId, std::span<const Var>) -> std::optional<Var> {
    return std::nullopt;
  });
}

std::span<const Pass> passes() {
  static constexpr Pass kPasses[] = {
      {"fold_constants", fold_constants, true},
      // Before, so that x + x is seen in what derivatives compute once more, and after.
      {"cse", eliminate_common_subexpressions, true},
      {"simplify", simplify, false},
      {"cse", eliminate_common_subexpressions, true},
  };
  return kPasses;
}

}  // namespace tapestry
