#include <tapestry/core/compile/passes.hpp>

namespace tapestry {

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
