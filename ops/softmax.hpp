// Softmax along one axis: exponentials in proportion to their sum, for values of any size.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

/// exp(x) / sum(exp(x)) along `axis`, which must have elements. -infinity gives 0.
Var softmax(const Operand& x, int axis = -1);
/// Its logarithm, without cancellation.
Var log_softmax(const Operand& x, int axis = -1);

void register_softmax(Registry& registry);

}  // namespace tapestry
