#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>

namespace tapestry {
namespace {

bool has_composed(const Graph& graph) {
  for (ValueId id = 0; id < graph.size(); ++id) {
    if (graph.op(id).composed()) return true;
  }
  return false;
}

}  // namespace

Graph expand(const Graph& graph) {
  const RewriteRule rule = [](Tape&, const Graph& g, ValueId id, std::span<const Var> inputs) {
    const Node& node = g.node(id);
    return node.op->composed() ? std::optional(node.op->expand({inputs, node.attrs})) : std::nullopt;
  };
  Graph expanded = rewrite(graph, rule);
  // Definitions may use composed ops in turn; they nest a few levels deep.
  while (has_composed(expanded)) expanded = rewrite(expanded, rule);
  return expanded;
}

}  // namespace tapestry
