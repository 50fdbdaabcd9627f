// A legal graph, stated once: what every pass may rely on and must leave behind.
#pragma once

#include <tapestry/core/graph.hpp>

namespace tapestry {

/// Throws an Error naming the node if an operand stands after its user, an arity or type isn't what the op's
/// rule says, an argument, output or update refers to nothing, or a state is updated twice or with another
/// type.
void verify(const Graph& graph);

}  // namespace tapestry
