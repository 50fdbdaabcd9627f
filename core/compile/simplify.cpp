#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>
#include <tapestry/core/language.hpp>

#include <cstring>

namespace tapestry {
namespace {

/// Applies the rules of what is made, too; they only ever shrink, so this ends.
Var simplest(Var value) {
  for (;;) {
    const Tape& tape = value.tape();
    const Node node = tape.graph().node(value.id());
    if (!node.op->simplify) return value;
    std::vector<Var> operands;
    for (const ValueId input : tape.graph().inputs(value.id())) operands.push_back(value.tape().at(input));
    const std::optional<Var> next = node.op->simplify({operands, node.attrs});
    if (!next) return value;
    value = *next;
  }
}

/// The one element that a constant repeats or has, as a scalar.
std::optional<Tensor> repeated(const Tensor& tensor) {
  const std::size_t size = size_of(tensor.dtype());
  if (tensor.rank() == 0 || tensor.elements() == 0) return {};
  // Equal to itself moved by one element.
  const auto* bytes = static_cast<const char*>(tensor.data());
  if (std::memcmp(bytes, bytes + size, tensor.bytes() - size) != 0) return {};
  Tensor scalar(tensor.dtype(), {});
  std::memcpy(scalar.mutable_data(), bytes, size);
  return scalar;
}

/// What a pointwise op, which broadcasts by itself, can read in the place of `x`.
Var narrowed(const Var& x) {
  Tape& tape = x.tape();
  ValueId id = x.id();
  while (tape.graph().is(id, "broadcast_to")) id = tape.graph().input(id, 0);
  if (const Tensor* value = language::constant_value(tape.graph(), id)) {
    if (const auto scalar = repeated(*value)) return tape.constant(*scalar, tape.graph().node(id).at);
  }
  return tape.at(id);
}

}  // namespace

Graph simplify(const Graph& graph) {
  return rewrite(
      graph, [](Tape& tape, const Graph& g, ValueId id, std::span<const Var> given) -> std::optional<Var> {
        const Node& node = g.node(id);
        std::vector<Var> inputs(given.begin(), given.end());
        if (node.op->pointwise) {
          for (Var& input : inputs) input = narrowed(input);
        }
        const Var plain = copy_node(tape, node, inputs);
        const Var simple = simplest(plain);
        require(simple.type() == plain.type(), "a rule of ", node.op->name, " made ", simple.type(), " of ",
                plain.type());
        // If all operands had been broadcast, only the result has to be.
        return language::fit(simple, node.type.shape);
      });
}

}  // namespace tapestry
