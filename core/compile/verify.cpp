#include <tapestry/core/compile/verify.hpp>
#include <tapestry/core/language.hpp>

#include <unordered_set>

namespace tapestry {

void verify(const Graph& graph) {
  const auto check = [&](ValueId id, bool ok, const auto&... why) {
    require(ok, "illegal graph: %", id, " ", label(graph, id), ": ", why...);
  };
  std::vector<Type> types;
  for (ValueId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    check(id, node.op->arity == kVariadic || std::uint32_t(node.op->arity) == node.arity, "has ", node.arity,
          " operands, ", node.op->name, " takes ", node.op->arity);
    types.clear();
    for (const ValueId input : graph.inputs(id)) {
      check(id, input < id, "operand %", input, " doesn't stand before it");
      types.push_back(graph.type(input));
    }
    try {
      const Type type = node.op->type({types, node.attrs});
      check(id, type == node.type, "is ", node.type, ", the type rule says ", type);
    } catch (const TypeMismatch& mismatch) {
      check(id, false, mismatch.what());
    }
  }
  for (const ValueId id : graph.arguments) {
    require(id < graph.size() && &graph.op(id) == &language::input, "illegal graph: argument %", id,
            " is no input");
  }
  for (const ValueId id : graph.outputs) {
    require(id < graph.size(), "illegal graph: output %", id, " doesn't exist");
  }
  std::unordered_set<const void*> updated;
  for (const Update& update : graph.updates) {
    const std::string& name = update.state.name();
    require(update.value < graph.size(), "illegal graph: the update of ", name, " doesn't exist");
    require(graph.type(update.value) == update.state.type(), "illegal graph: state ", name, " is ",
            update.state.type(), ", its update ", graph.type(update.value));
    require(updated.insert(update.state.id()).second, "illegal graph: state ", name, " is updated twice");
  }
}

}  // namespace tapestry
