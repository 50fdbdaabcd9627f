#include <tapestry/core/compile/recompute.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace tapestry {
namespace {

using kernels::Code;

// At most so many nodes are repeated for one value, and for one of so many bytes, which no cache keeps until
// it is read.
constexpr std::size_t kMostRepeated = 8, kMostRepeatedIfLarge = 12;
constexpr std::int64_t kLargeBytes = 8 * 1024 * 1024;
// What moves between memory and a core while it computes a function of as many elements, in bytes for each:
// 8 cycles for a vector of 16 at 10 to 14 bytes a cycle.
constexpr std::int64_t kFunctionBytes = 6;

/// How many functions worth computing again rather than moving large values there are; nothing if others, or
/// divisions, random numbers or a reduction are among its instructions.
std::optional<std::int64_t> functions_of(const kernels::Loop& loop) {
  const auto is_function = [](const kernels::Instruction& i) {
    return i.code == Code::exp || i.code == Code::erf || i.code == Code::gelu_slope;
  };
  const auto is_dear = [&](const kernels::Instruction& i) {
    return ((i.code >= Code::sqrt && i.code <= Code::erf) || i.code == Code::div || i.code == Code::pow ||
            i.code >= Code::index) &&
           !is_function(i);
  };
  if (loop.outputs.front().reduce != kernels::Reduce::none || std::ranges::any_of(loop.code, is_dear))
    return {};
  return std::ranges::count_if(loop.code, is_function);
}

/// Whatever of it is stored, in rows that are no longer than the group's.
bool rows_fit(const Group& group, std::size_t inputs, std::size_t instructions) {
  std::int64_t row_elements = 1;
  for (int d = group.row; d < group.extents.rank(); ++d) row_elements *= group.extents[d];
  return std::int64_t(inputs + 3 * instructions) <= kernels::row_values_that_fit(row_elements, group.lane);
}

class Recomputation {
 public:
  Recomputation(const Graph& graph, Groups& groups, bool careful)
      : graph_(graph),
        groups_(groups),
        careful_(careful),
        stored_(stored_values(graph, groups)),
        is_root_(graph.size()),
        owner_(graph.size(), kNone),
        readers_(graph.size()) {
    for (const ValueId root : graph.roots()) is_root_[storage_of(graph, root)] = true;
    for (std::uint32_t g = 0; g < groups.order.size(); ++g) {
      for (const ValueId id : groups.order[g].nodes) {
        owner_[id] = g;
        note_reads(g, id);
      }
    }
  }

  /// Users before what they use: once a value isn't read from memory, what it is made of may not be either.
  bool run() {
    bool changed = false;
    for (ValueId id = ValueId(graph_.size()); id-- > 0;) {
      if (!stored_[id] || is_root_[id] || owner_[id] == kNone || readers_[id].empty()) continue;
      if (stays(owner_[id])) continue;
      const auto chain = chain_of(id);
      if (chain && saves(id, *chain) > 0) {
        make_again(id, *chain);
        changed = true;
      }
    }
    return changed;
  }

 private:
  /// Has a group to go on storing the same values?
  bool stays(std::uint32_t g) const { return careful_ && is_tight(groups_.order[g]); }

  void note_reads(std::uint32_t g, ValueId id) {
    for (const ValueId input : graph_.inputs(id)) {
      const ValueId storage = storage_of(graph_, input);
      if (owner_[storage] != g) add_reader(storage, g);
    }
  }

  /// Leaves are never made again: who reads them doesn't matter, and may be many.
  void add_reader(ValueId storage, std::uint32_t g) {
    if (owner_[storage] == kNone) return;
    std::vector<std::uint32_t>& readers = readers_[storage];
    const auto at = std::ranges::lower_bound(readers, g);
    if (at == readers.end() || *at != g) readers.insert(at, g);
  }

  /// What has to be computed again to have `id`, itself included, ascending; nothing if it is too dear.
  std::optional<std::vector<ValueId>> chain_of(ValueId id) const {
    std::vector<ValueId> chain{id};
    for (std::size_t i = 0; i < chain.size(); ++i) {
      const auto& loop = groups_.loops[chain[i]];
      if (!loop || loop->extents != groups_.loops[id]->extents) return {};
      const std::optional<std::int64_t> functions = functions_of(*loop);
      if (!functions || (*functions > 0 && !is_large(id))) return {};
      for (const ValueId input : graph_.inputs(chain[i])) {
        const ValueId storage = storage_of(graph_, input);
        if (in_memory(storage, id) || std::ranges::find(chain, storage) != chain.end()) continue;
        chain.push_back(storage);
        if (chain.size() > (is_large(id) ? kMostRepeatedIfLarge : kMostRepeated)) return {};
      }
    }
    std::ranges::sort(chain);
    return chain;
  }

  bool is_large(ValueId id) const { return std::int64_t(graph_.type(id).bytes()) >= kLargeBytes; }

  /// Leaves are, and what other groups need as well. What is small compared to `id` may be for its sake.
  bool in_memory(ValueId storage, ValueId id) const {
    const auto elements = [&](ValueId value) { return graph_.type(value).shape.elements(); };
    return owner_[storage] == kNone || stored_[storage] || !groups_.loops[storage] ||
           (elements(storage) * 16 <= elements(id) && !stays(owner_[storage]));
  }

  /// Bytes, if all that read it can make it again; else nothing.
  std::int64_t saves(ValueId id, const std::vector<ValueId>& chain) const {
    const auto bytes = [&](ValueId value) { return std::int64_t(graph_.type(value).bytes()); };
    const auto functions = [&](const auto& computes) {
      std::int64_t count = 0;
      for (const ValueId node : chain) {
        if (computes(node)) count += *functions_of(*groups_.loops[node]);
      }
      return count * kFunctionBytes * graph_.type(id).shape.elements();
    };
    std::int64_t saved = bytes(id);
    for (const std::uint32_t g : readers_[id]) {
      if (!can_repeat(g, id, chain)) return 0;
      saved += bytes(id);
      for (const ValueId input : new_inputs(g, chain)) saved -= bytes(input);
      saved -= functions([&](ValueId node) { return !groups_.order[g].makes(node); });
    }
    const std::vector<ValueId> spared = spared_by(id, chain);
    return saved + functions([&](ValueId node) { return std::ranges::find(spared, node) != spared.end(); });
  }

  /// What nobody will need any longer where `id` is made now.
  std::vector<ValueId> spared_by(ValueId id, const std::vector<ValueId>& chain) const {
    const Group& group = groups_.order[owner_[id]];
    std::vector<ValueId> spared;
    for (auto node = chain.rbegin(); node != chain.rend(); ++node) {
      const auto needs_it = [&](ValueId user) {
        return reads(user, *node) && std::ranges::find(spared, user) == spared.end();
      };
      if (owner_[*node] != owner_[id] || (*node != id && stored_[*node]) || is_root_[*node] ||
          std::ranges::any_of(group.nodes, needs_it) || std::ranges::any_of(group.recomputed, needs_it)) {
        continue;
      }
      spared.push_back(*node);
    }
    return spared;
  }

  void make_again(ValueId id, const std::vector<ValueId>& chain) {
    stored_[id] = false;
    const std::vector<std::uint32_t> readers = std::exchange(readers_[id], {});
    for (const std::uint32_t g : readers) repeat(g, chain);
    drop_unused(id);
  }

  bool can_repeat(std::uint32_t g, ValueId id, const std::vector<ValueId>& chain) const {
    const Group& group = groups_.order[g];
    const auto loop = [&](ValueId node) -> const kernels::Loop& { return *groups_.loops[node]; };
    if (!group.is_loop || group.extents != loop(id).extents || group.lane != loop(id).lane) return false;
    // Whatever reads one of them will have it from a register.
    for (const ValueId node : chain) {
      for (const std::vector<ValueId>* users : {&group.nodes, &group.recomputed, &chain}) {
        for (const ValueId user : *users) {
          if (reads(user, node) && !takes(group, node, user)) return false;
        }
      }
    }
    std::size_t instructions = group.instructions;
    for (const ValueId node : chain) instructions += std::max<std::size_t>(loop(node).code.size(), 1);
    const std::size_t inputs = group.inputs.size() + new_inputs(g, chain).size();
    return instructions <= kMostInstructions && inputs <= kMostInputs &&
           (group.row == kNoRows || rows_fit(group, inputs, instructions));
  }

  bool takes(const Group& group, ValueId storage, ValueId user) const {
    return hands_over(graph_, groups_.loops, storage, user, group.extents, group.row);
  }

  bool reads(ValueId user, ValueId storage) const {
    return std::ranges::any_of(graph_.inputs(user),
                               [&](ValueId input) { return storage_of(graph_, input) == storage; });
  }

  /// What the group would read that it doesn't now.
  std::vector<ValueId> new_inputs(std::uint32_t g, const std::vector<ValueId>& chain) const {
    const Group& group = groups_.order[g];
    std::vector<ValueId> inputs;
    for (const ValueId node : chain) {
      for (const ValueId input : graph_.inputs(node)) {
        const ValueId storage = storage_of(graph_, input);
        const bool known = std::ranges::binary_search(chain, storage) || group.makes(storage) ||
                           reads_already(group, storage) || std::ranges::find(inputs, input) != inputs.end();
        if (!known) inputs.push_back(input);
      }
    }
    return inputs;
  }

  bool reads_already(const Group& group, ValueId storage) const {
    return std::ranges::any_of(group.inputs,
                               [&](ValueId input) { return storage_of(graph_, input) == storage; });
  }

  void repeat(std::uint32_t g, const std::vector<ValueId>& chain) {
    Group& group = groups_.order[g];
    for (const ValueId input : new_inputs(g, chain)) group.inputs.insert(input);
    for (const ValueId node : chain) {
      group.inputs.erase(node);
      if (group.makes(node)) continue;
      group.recomputed.push_back(node);
      group.instructions += std::max<std::size_t>(groups_.loops[node]->code.size(), 1);
    }
    for (const ValueId node : chain) {
      for (const ValueId input : graph_.inputs(node)) {
        const ValueId storage = storage_of(graph_, input);
        if (group.makes(storage)) continue;
        add_reader(storage, g);
        if (owner_[storage] != kNone) stored_[storage] = true;
      }
    }
  }

  /// Its maker needs it no longer if nothing there reads it.
  void drop_unused(ValueId id) {
    Group& group = groups_.order[owner_[id]];
    const auto reads_it = [&](ValueId user) { return reads(user, id); };
    if (std::ranges::any_of(group.nodes, reads_it) || std::ranges::any_of(group.recomputed, reads_it)) {
      return;
    }
    std::erase(group.nodes, id);
    for (const ValueId input : graph_.inputs(id)) {
      // What it was made of may have been made for it alone.
      const ValueId storage = storage_of(graph_, input);
      if (owner_[storage] == owner_[id] && !stored_[storage] && !is_root_[storage]) drop_unused(storage);
    }
  }

  const Graph& graph_;
  Groups& groups_;
  bool careful_;
  std::vector<bool> stored_, is_root_;
  std::vector<std::uint32_t> owner_;                 // the group that makes a value
  std::vector<std::vector<std::uint32_t>> readers_;  // groups that read it from memory, ascending
};

}  // namespace

namespace {

/// Once values are computed again, loops that had to be apart may be able to go over their operands together.
/// Moves each up into the first loop that reads an operand of full size with it, if all that it reads is
/// there by then.
class Siblings {
 public:
  Siblings(const Graph& graph, Groups& groups)
      : graph_(graph),
        loops_(groups.loops),
        groups_(groups.order),
        maker_(graph.size(), kNone),
        readers_(graph.size()) {}

  void join() {
    for (std::uint32_t g = 0; g < groups_.size(); ++g) {
      for (const ValueId id : groups_[g].nodes) maker_[id] = g;
    }
    for (std::uint32_t g = 0; g < groups_.size(); ++g) {
      if (!groups_[g].is_loop) continue;
      const std::vector<ValueId> inputs = inputs_of(groups_[g]);
      const std::optional<std::uint32_t> elder = find(g, inputs);
      if (elder) merge(groups_[g], groups_[*elder], *elder);
      for (const ValueId input : inputs) readers_[input].push_back(elder.value_or(g));
    }
  }

 private:
  /// Of full size.
  std::vector<ValueId> inputs_of(const Group& group) const {
    std::vector<ValueId> inputs;
    for (const std::vector<ValueId>* nodes : {&group.nodes, &group.recomputed}) {
      for (const ValueId id : *nodes) {
        for (const ValueId input : graph_.inputs(id)) {
          const ValueId storage = storage_of(graph_, input);
          if (!group.makes(storage) && graph_.type(storage).shape == group.extents) inputs.push_back(storage);
        }
      }
    }
    return inputs;
  }

  /// What either computes again, and the other reads from memory, will be in a register.
  bool takes_all(const Group& user, const Group& maker) const {
    for (const ValueId id : maker.recomputed) {
      for (const std::vector<ValueId>* nodes : {&user.nodes, &user.recomputed}) {
        for (const ValueId node : *nodes) {
          const bool reads = std::ranges::any_of(
              graph_.inputs(node), [&](ValueId input) { return storage_of(graph_, input) == id; });
          if (reads && !hands_over(graph_, loops_, id, node, maker.extents, maker.row)) return false;
        }
      }
    }
    return true;
  }

  /// The first group in which all that this one reads has been made.
  std::uint32_t earliest(const Group& group) const {
    std::uint32_t first = 0;
    for (const std::vector<ValueId>* nodes : {&group.nodes, &group.recomputed}) {
      for (const ValueId id : *nodes) {
        const auto comes_after = [&](ValueId other) {
          const std::uint32_t maker = maker_[other];
          if (maker != kNone && !group.makes(other)) first = std::max(first, maker + 1);
        };
        for (const ValueId input : graph_.inputs(id)) {
          comes_after(storage_of(graph_, input));
          for_each_wait(graph_, input, comes_after);
        }
      }
    }
    return first;
  }

  std::optional<std::uint32_t> find(std::uint32_t g, const std::vector<ValueId>& inputs) const {
    const std::uint32_t first = earliest(groups_[g]);
    std::optional<std::uint32_t> best;
    for (const ValueId input : inputs) {
      for (const std::uint32_t other : readers_[input]) {
        if (other >= first && other < best.value_or(g) && fits(groups_[g], groups_[other])) best = other;
      }
    }
    return best;
  }

  // Rows stay as they are: whether those of two loops fit together was decided before.
  bool fits(const Group& a, const Group& b) const {
    return b.is_loop && a.lane == b.lane && a.extents == b.extents && a.row == kNoRows && b.row == kNoRows &&
           a.inputs.size() + b.inputs.size() <= kMostInputs &&
           a.instructions + b.instructions <= kMostInstructions && takes_all(a, b) && takes_all(b, a);
  }

  void merge(Group& from, Group& to, std::uint32_t g) {
    for (const ValueId id : from.nodes) maker_[id] = g;
    to.nodes.insert(to.nodes.end(), from.nodes.begin(), from.nodes.end());
    std::ranges::sort(to.nodes);
    for (const ValueId id : from.recomputed) {
      if (!to.makes(id)) to.recomputed.push_back(id);
    }
    to.inputs.insert(from.inputs);
    to.instructions += from.instructions;
    from = {};
  }

  const Graph& graph_;
  const std::vector<std::optional<kernels::Loop>>& loops_;
  std::vector<Group>& groups_;
  std::vector<std::uint32_t> maker_;                 // by value: the group that makes it
  std::vector<std::vector<std::uint32_t>> readers_;  // by value
};

}  // namespace

bool is_tight(const Group& group) {
  return group.row != kNoRows && !rows_fit(group, group.inputs.size(), group.instructions);
}

bool recompute(const Graph& graph, Groups& groups, bool careful) {
  const bool changed = Recomputation(graph, groups, careful).run();
  if (changed) Siblings(graph, groups).join();
  std::erase_if(groups.order, [](const Group& group) { return group.nodes.empty(); });
  return changed;
}

}  // namespace tapestry
