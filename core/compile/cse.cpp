#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/rewrite.hpp>

#include <algorithm>
#include <bit>
#include <optional>
#include <vector>

namespace tapestry {
namespace {

std::size_t hash_of(const Node& node, std::span<const Var> inputs) {
  std::size_t hash = hash_combine(std::hash<const Op*>{}(node.op), node.attrs.hash());
  for (const Var& input : inputs) hash = hash_combine(hash, input.id());
  return hash;
}

/// Nodes by their hash: a table of twice as many places, the next free one for what finds its own taken.
class Seen {
 public:
  explicit Seen(std::size_t most) : places_(std::bit_ceil(2 * most + 1)) {}

  /// The first with this hash of which `is_it` holds, or kNone.
  template <class F>
  ValueId find(std::size_t hash, const F& is_it) const {
    for (std::size_t at = first(hash); places_[at].id != kNone; at = (at + 1) & mask()) {
      if (places_[at].hash == hash && is_it(places_[at].id)) return places_[at].id;
    }
    return kNone;
  }
  void add(std::size_t hash, ValueId id) {
    std::size_t at = first(hash);
    while (places_[at].id != kNone) at = (at + 1) & mask();
    places_[at] = {hash, id};
  }

 private:
  struct Place {
    std::size_t hash = 0;
    ValueId id = kNone;
  };
  std::size_t mask() const { return places_.size() - 1; }
  std::size_t first(std::size_t hash) const { return (hash ^ hash >> 32) & mask(); }
  std::vector<Place> places_;
};

}  // namespace

Graph eliminate_common_subexpressions(const Graph& graph) {
  Seen seen(graph.size());  // on the new tape
  std::vector<Var> inputs;
  return rewrite(graph, [&](Tape& tape, const Graph& g, ValueId id, std::span<const Var> given) {
    const Node& node = g.node(id);
    inputs.assign(given.begin(), given.end());
    if (node.op->commutative && inputs[1].id() < inputs[0].id()) std::swap(inputs[0], inputs[1]);
    const std::size_t hash = hash_of(node, inputs);
    const ValueId known = seen.find(hash, [&](ValueId candidate) {
      const Node& other = tape.graph().node(candidate);
      const auto same_input = [](const Var& a, ValueId b) { return a.id() == b; };
      return other.op == node.op && other.type == node.type && other.attrs == node.attrs &&
             std::ranges::equal(inputs, tape.graph().inputs(candidate), same_input);
    });
    if (known != kNone) return std::optional(tape.at(known));
    const Var fresh = tape.append_like(node, inputs);
    seen.add(hash, fresh.id());
    return std::optional(fresh);
  });
}

}  // namespace tapestry
