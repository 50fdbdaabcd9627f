// The passes, in the order in which compile() runs them. Each takes a graph and returns a new one.
#pragma once

#include <tapestry/core/graph.hpp>

#include <span>
#include <string_view>

namespace tapestry {

/// Composed ops give way to their definitions until only primitives are left. Always on.
Graph expand(const Graph& graph);
/// Nodes that no result depends on are left out; any rebuilding does that, but may leave new ones. Always on,
/// last.
Graph remove_dead_code(const Graph& graph);
/// What depends on constants alone is computed now, if the result is small.
Graph fold_constants(const Graph& graph);
/// Each op's own rules: x * 1 is x, a reshape of a reshape is one.
Graph simplify(const Graph& graph);
/// Equal ops on equal operands are computed once.
Graph eliminate_common_subexpressions(const Graph& graph);

struct Pass {
  std::string_view name;
  Graph (*run)(const Graph&);
  bool keeps_bits;  // the results are bit for bit those of the graph without the pass
};

/// Those that can be switched off by name.
std::span<const Pass> passes();

}  // namespace tapestry
