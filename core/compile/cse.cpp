#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>

#include <algorithm>
#include <unordered_map>

namespace tapestry {
namespace {

std::size_t hash_of(const Node& node, std::span<const Var> inputs) {
  std::size_t hash = hash_combine(std::hash<const Op*>{}(node.op), node.attrs.hash());
  for (const Var& input : inputs) hash = hash_combine(hash, input.id());
  return hash;
}

}  // namespace

Graph eliminate_common_subexpressions(const Graph& graph) {
  std::unordered_multimap<std::size_t, ValueId> seen;  // on the new tape
  return rewrite(graph, [&](Tape& tape, const Graph& g, ValueId id, std::span<const Var> given) {
    const Node& node = g.node(id);
    std::vector<Var> inputs(given.begin(), given.end());
    if (node.op->commutative && inputs[1].id() < inputs[0].id()) std::swap(inputs[0], inputs[1]);
    const std::size_t hash = hash_of(node, inputs);
    const auto [first, last] = seen.equal_range(hash);
    for (auto it = first; it != last; ++it) {
      const Node& other = tape.graph().node(it->second);
      const auto same_input = [](const Var& a, ValueId b) { return a.id() == b; };
      if (other.op == node.op && other.type == node.type && other.attrs == node.attrs &&
          std::ranges::equal(inputs, tape.graph().inputs(it->second), same_input)) {
        return std::optional(tape.at(it->second));
      }
    }
    const Var fresh = copy_node(tape, node, inputs);
    seen.emplace(hash, fresh.id());
    return std::optional(fresh);
  });
}

}  // namespace tapestry
