#include <tapestry/core/compile/passes.hpp>

namespace tapestry {

std::span<const Pass> passes() {
  static constexpr Pass kPasses[] = {
      {"fold_constants", fold_constants, true},
      {"simplify", simplify, false},
      {"cse", eliminate_common_subexpressions, true},
  };
  return kPasses;
}

}  // namespace tapestry
