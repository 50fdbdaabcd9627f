#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>
#include <tapestry/core/language.hpp>

#include <vector>

namespace tapestry {

namespace {

/// By value: is it read, by what is read in turn? To be waited for is not enough.
std::vector<bool> values_read(const Graph& graph) {
  std::vector<bool> read(graph.size(), false);
  for (const ValueId root : graph.roots()) read[root] = true;
  for (ValueId id = ValueId(graph.size()); id-- > 0;) {
    if (!read[id] || graph.node(id).arity == 0) continue;
    if (&graph.op(id) == &language::after) {
      read[graph.input(id, 0)] = true;
    } else {
      for (const ValueId input : graph.inputs(id)) read[input] = true;
    }
  }
  return read;
}

/// Nothing waits for leaves, which are always there, nor for what nobody reads.
Graph drop_idle_waits(const Graph& graph) {
  const std::vector<bool> read = values_read(graph);
  return rewrite(graph,
                 [&](Tape&, const Graph& g, ValueId id, std::span<const Var> inputs) -> std::optional<Var> {
                   if (&g.op(id) != &language::after) return std::nullopt;
                   std::vector<Var> others;
                   for (std::size_t i = 1; i < inputs.size(); ++i) {
                     const ValueId other = g.input(id, int(i));
                     if (read[other] && g.node(other).arity > 0) others.push_back(inputs[i]);
                   }
                   return others.empty() ? inputs[0] : language::wait_for(others, inputs[0]);
                 });
}

}  // namespace

Graph remove_dead_code(const Graph& graph) {
  const RewriteRule copy = [](Tape&, const Graph&, ValueId, std::span<const Var>) -> std::optional<Var> {
    return std::nullopt;
  };
  bool waits = false;
  for (ValueId id = 0; id < graph.size(); ++id) waits = waits || &graph.op(id) == &language::after;
  return rewrite(waits ? drop_idle_waits(graph) : graph, copy);
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
