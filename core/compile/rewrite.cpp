#include <tapestry/core/compile/rewrite.hpp>

#include <vector>

namespace tapestry {

Var copy_node(Tape& tape, const Node& node, std::span<const Var> inputs) {
  return tape.append(*node.op, inputs, node.attrs, node.at);
}

Graph rewrite(const Graph& graph, const RewriteRule& rule) {
  Tape tape;
  tape.reserve(graph);
  std::vector<ValueId> image(graph.size(), kNone);
  for (const ValueId id : graph.arguments) {
    const Node& node = graph.node(id);
    image[id] = tape.input(label(graph, id), node.type, node.at).id();
  }
  std::vector<Var> inputs;
  for (const ValueId id : ancestors(graph, graph.roots())) {
    if (image[id] != kNone) continue;
    inputs.clear();
    for (const ValueId input : graph.inputs(id)) inputs.push_back(tape.at(image[input]));
    const Node& node = graph.node(id);
    const Scope scope(tape, node);
    const std::optional<Var> replacement = rule(tape, graph, id, inputs);
    image[id] = (replacement ? *replacement : tape.append_like(node, inputs)).id();
    if (tape.graph().type(image[id]) != node.type) {
      fail("a pass changed the type of ", label(graph, id), " from ", node.type, " to ",
           tape.graph().type(image[id]));
    }
  }
  std::vector<Var> outputs;
  for (const ValueId id : graph.outputs) outputs.push_back(tape.at(image[id]));
  Graph rebuilt = tape.take(outputs);
  for (const Update& update : graph.updates) rebuilt.updates.push_back({update.state, image[update.value]});
  return rebuilt;
}

}  // namespace tapestry
