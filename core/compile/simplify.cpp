#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>

namespace tapestry {

Graph simplify(const Graph& graph) {
  return rewrite(graph, [](Tape& tape, const Graph& g, ValueId id, std::span<const Var> inputs) {
    const Node& node = g.node(id);
    if (!node.op->simplify) return std::optional<Var>();
    std::optional<Var> simpler = node.op->simplify({inputs, node.attrs});
    // What a rule makes may have a simpler form of its own; rules only ever shrink, so this ends.
    while (simpler) {
      const Node made = tape.graph().node(simpler->id());
      if (!made.op->simplify) break;
      std::vector<Var> operands;
      for (const ValueId input : tape.graph().inputs(simpler->id())) operands.push_back(tape.at(input));
      const std::optional<Var> next = made.op->simplify({operands, made.attrs});
      if (!next) break;
      simpler = next;
    }
    return simpler;
  });
}

}  // namespace tapestry
