// Fusing: which nodes run together in one loop. Everything pointwise, every reduction and every broadcast can
// join a loop over the same extents; the fewer loops, the fewer passes over memory. A reduction of the last
// dimensions, short enough, is handed on row by row: what uses it can join the same loop.
#pragma once

#include <tapestry/core/compile/placement.hpp>
#include <tapestry/core/graph.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <algorithm>
#include <optional>
#include <vector>

namespace tapestry {

/// A few values, ascending.
class ValueSet {
 public:
  std::size_t size() const { return ids_.size(); }
  auto begin() const { return ids_.begin(); }
  auto end() const { return ids_.end(); }
  bool contains(ValueId id) const { return std::ranges::binary_search(ids_, id); }
  /// False if it was there already.
  bool insert(ValueId id) {
    const auto at = std::ranges::lower_bound(ids_, id);
    if (at != ids_.end() && *at == id) return false;
    ids_.insert(at, id);
    return true;
  }
  void insert(const ValueSet& others) {
    for (const ValueId id : others) insert(id);
  }
  void erase(ValueId id) {
    const auto at = std::ranges::lower_bound(ids_, id);
    if (at != ids_.end() && *at == id) ids_.erase(at);
  }

 private:
  std::vector<ValueId> ids_;
};

/// Nodes that will be one task. If it is a loop all compute in the same kind of register, over the same
/// extents or, where it has rows, once for each row.
struct Group {
  std::vector<ValueId> nodes;  // ascending
  /// Made by earlier groups, but cheaper to compute again than to read.
  std::vector<ValueId> recomputed{};
  bool is_loop = false;
  Shape extents{};
  int row = kNoRows;  // the first dimension of a row
  kernels::Lane lane{};
  // How full it is, kept up to date by whoever adds to `nodes` or `recomputed`: joining asks whether the sums
  // of two groups are still within the limits below.
  std::size_t instructions = 0;  // of all its loops together
  ValueSet inputs{};             // what is made elsewhere
  ValueSet waits{};              // storage of what has to be made before: see language::after

  bool makes(ValueId id) const {
    return std::ranges::binary_search(nodes, id) || std::ranges::find(recomputed, id) != recomputed.end();
  }
};

// Beyond this many operands a loop runs out of streams that the hardware prefetches, and out of L1.
inline constexpr std::size_t kMostInputs = 24;
inline constexpr std::size_t kMostInstructions = 96;

struct Groups {
  std::vector<Group> order;                         // each after those whose values it reads
  std::vector<std::optional<kernels::Loop>> loops;  // by node: the loop it would be alone
};

/// Can `user`, in the same loop over `extents` with rows from `row` on, take the value that lies at `storage`
/// from a register? All of its operands that lie there must be the very elements that are at hand.
bool hands_over(const Graph& graph, const std::vector<std::optional<kernels::Loop>>& loops, ValueId storage,
                ValueId user, const Shape& extents, int row);

/// Which values have to be in memory: results, and what a group doesn't make that reads it. Within a group
/// all is handed over.
std::vector<bool> stored_values(const Graph& graph, const Groups& groups);

/// Without `fuse` each node is a group of its own. Leaves and views are in none.
Groups group_nodes(const Graph& graph, bool fuse);

/// The value in whose memory `id` lies: itself, or what it is a view of.
ValueId storage_of(const Graph& graph, ValueId id);

/// Calls f(value) for all that has to be made, unread, before `id` can be read: language::after. The value is
/// one in whose memory something lies.
template <class F>
void for_each_wait(const Graph& graph, ValueId id, F f) {
  for (; graph.is_view(id); id = graph.input(id, 0)) {
    for (std::uint32_t slot = 1; slot < graph.node(id).arity; ++slot) {
      f(storage_of(graph, graph.input(id, int(slot))));
    }
  }
}

}  // namespace tapestry
