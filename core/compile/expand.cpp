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
  // What is recorded as one op goes on to be called by its name, as a scope; what its definition uses in turn
  // doesn't.
  bool recorded = true;
  const RewriteRule rule = [&](Tape& tape, const Graph& g, ValueId id,
                               std::span<const Var> inputs) -> std::optional<Var> {
    const Node& node = g.node(id);
    if (!node.op->composed()) return std::nullopt;
    const Scope scope(tape, recorded ? node.op->name : "", node.at);
    return node.op->expand({inputs, node.attrs});
  };
  Graph expanded = rewrite(graph, rule);
  recorded = false;
  // Definitions may use composed ops in turn; they nest a few levels deep.
  while (has_composed(expanded)) expanded = rewrite(expanded, rule);
  return expanded;
}

}  // namespace tapestry
