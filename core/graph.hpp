// The graph: one append-only list of nodes, each an op applied to earlier nodes and making one value. A value
// is its node's position, so inputs stand before users, a serial order is always at hand, and destroying a
// graph of any depth is destroying two vectors. core/graph_bgl.hpp shows it to Boost.Graph.
#pragma once

#include <tapestry/core/op.hpp>
#include <tapestry/core/state.hpp>

#include <cstdint>
#include <limits>
#include <memory>
#include <ranges>
#include <source_location>
#include <span>
#include <string>
#include <vector>

namespace tapestry {

using ValueId = std::uint32_t;
using EdgeId = std::uint32_t;
using Location = std::source_location;
inline constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

/// Operand `slot` of `user` is `input`. A node's edges are adjacent and in operand order; `next_use` chains
/// the uses of `input`.
struct Edge {
  ValueId input;
  ValueId user;
  EdgeId next_use;
};

struct Node {
  const Op* op;
  Type type;
  Attrs attrs;
  Location at;                               // the user's line
  std::shared_ptr<const std::string> scope;  // "fc1", null at the top
  EdgeId first_edge;
  std::uint32_t arity;
  EdgeId first_use = kNone;
  bool view = false;  // lies in the memory of its first operand
};

/// A declared update: after the step `state` holds `value`.
struct Update {
  State state;
  ValueId value;
};

class Graph {
 public:
  ValueId append(const Op& op, Type type, std::span<const ValueId> inputs, Attrs attrs, Location at,
                 std::shared_ptr<const std::string> scope = nullptr);

  /// Makes room for as many nodes and edges as `other` has.
  void reserve(const Graph& other) {
    nodes_.reserve(other.nodes_.size());
    edges_.reserve(other.edges_.size());
  }

  std::size_t size() const { return nodes_.size(); }
  const Node& node(ValueId id) const { return nodes_[id]; }
  const Type& type(ValueId id) const { return nodes_[id].type; }
  const Op& op(ValueId id) const { return *nodes_[id].op; }
  bool is_view(ValueId id) const { return nodes_[id].view; }
  /// What copies elements that follow one another (Op::run_of) may be a view of them.
  void set_view(ValueId id, bool view) { nodes_[id].view = view; }
  bool is(ValueId id, std::string_view op_name) const { return nodes_[id].op->name == op_name; }

  /// The operands of a node, in order.
  auto inputs(ValueId id) const {
    const Node& n = nodes_[id];
    return std::span(edges_).subspan(n.first_edge, n.arity) | std::views::transform(&Edge::input);
  }
  std::vector<Type> input_types(ValueId id) const {
    std::vector<Type> types;
    for (const ValueId input : inputs(id)) types.push_back(type(input));
    return types;
  }
  ValueId input(ValueId id, int slot) const {
    return edges_[nodes_[id].first_edge + std::uint32_t(slot)].input;
  }
  std::span<const Edge> edges() const { return edges_; }

  /// What the outside gives and takes.
  std::vector<ValueId> arguments;  // `input` nodes, in the order they are fed
  std::vector<ValueId> outputs;
  std::vector<Update> updates;

  /// Outputs, updated values and nodes that must run: what keeps the rest alive.
  std::vector<ValueId> roots() const;

 private:
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

/// Everything that `roots` depend on, themselves included, in ascending order.
std::vector<ValueId> ancestors(const Graph& graph, std::span<const ValueId> roots);

/// "fc1/linear/matmul", "x", "fc1/weight": what to call a node in messages and listings.
std::string label(const Graph& graph, ValueId id);
/// "train.cpp:12"
std::string to_string(const Location& at);

}  // namespace tapestry
