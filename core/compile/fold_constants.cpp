#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>
#include <tapestry/core/language.hpp>
#include <tapestry/core/run/interpret.hpp>

namespace tapestry {
namespace {

// Folding trades memory for time: a large result (a broadcast zero, a position) is cheaper to make anew.
constexpr std::size_t kLargest = 4096;

}  // namespace

Graph fold_constants(const Graph& graph) {
  return rewrite(
      graph, [](Tape& tape, const Graph& g, ValueId id, std::span<const Var> inputs) -> std::optional<Var> {
        const Node& node = g.node(id);
        const bool leaf = inputs.empty() && !node.op->loop;  // iota has no inputs, but is computed
        if (leaf || node.op->must_run || node.op->composed() || node.type.bytes() > kLargest) return {};
        std::vector<ConstView> views;
        for (const Var& input : inputs) {
          const Tensor* value = language::constant_value(tape.graph(), input.id());
          if (!value) return {};
          views.push_back(value->view());
        }
        return tape.constant(run_op(node, views), node.at);
      });
}

}  // namespace tapestry
