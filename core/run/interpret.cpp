#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/language.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/kernels/loop.hpp>

namespace tapestry {

void run_kernel(const Node& node, std::span<const ConstView> inputs, const View& y) {
  try {
    node.op->kernel({inputs, y, node.attrs});
  } catch (const Error& refusal) {
    throw Error(text(to_string(node.at), ": ", refusal.what()));
  }
}

Tensor run_op(const Node& node, std::span<const ConstView> inputs) {
  Tensor result(node.type);
  if (node.op->kernel) {
    run_kernel(node, inputs, result.mutable_view());
    return result;
  }
  std::vector<Type> types;
  std::vector<const void*> data;
  for (const ConstView& input : inputs) {
    types.push_back(input.type);
    data.push_back(input.data);
  }
  const kernels::CompiledLoop loop(node.op->loop(types, node.type, node.attrs), kernels::Use::once);
  Tensor scratch(DType::u8, {std::int64_t(loop.scratch_bytes())});
  void* const out[] = {result.mutable_data()};
  loop.run(data, out, scratch.mutable_data());
  return result;
}

std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> arguments,
                              const Observer& observe) {
  const Graph expanded = expand(graph);
  require(arguments.size() == expanded.arguments.size(), "the graph takes ", expanded.arguments.size(),
          " arguments, ", arguments.size(), " were given");
  std::vector<Tensor> values(expanded.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const ValueId id = expanded.arguments[i];
    require(arguments[i].type() == expanded.type(id), label(expanded, id), " is ", expanded.type(id),
            ", not ", arguments[i].type());
    values[id] = arguments[i];
  }
  std::vector<ConstView> inputs;
  for (ValueId id = 0; id < expanded.size(); ++id) {
    const Node& node = expanded.node(id);
    if (node.op == &language::input) continue;
    if (node.op == &language::state) {
      values[id] = node.attrs.as<StateAttrs>().state.value();
    } else if (const Tensor* constant = language::constant_value(expanded, id)) {
      values[id] = *constant;
    } else {
      inputs.clear();
      for (const ValueId input : expanded.inputs(id)) inputs.push_back(std::as_const(values[input]).view());
      values[id] = run_op(node, inputs);
    }
    if (observe && !observe(expanded, id, values[id])) break;
  }
  std::vector<Tensor> outputs;
  for (const ValueId id : expanded.outputs) outputs.push_back(values[id]);
  return outputs;
}

std::vector<Tensor> evaluate(std::span<const Var> values) {
  if (values.empty()) return {};
  Graph graph = values.front().tape().graph();  // a copy, so that the tape can go on recording
  graph.updates.clear();
  for (const Var& value : values) {
    require(&value.tape() == &values.front().tape(), "evaluate: the values are on different tapes");
    graph.outputs.push_back(value.id());
  }
  // Inputs that nothing asked for depends on need no value.
  std::vector<Tensor> arguments;
  for (const ValueId id : ancestors(graph, graph.outputs)) {
    require(&graph.op(id) != &language::input, "evaluate: ", label(graph, id),
            " has no value; compile the tape");
  }
  for (const ValueId id : graph.arguments) arguments.emplace_back(graph.type(id));
  return interpret(graph, arguments);
}

Tensor evaluate(const Var& value) { return evaluate(std::span(&value, 1)).front(); }

}  // namespace tapestry
