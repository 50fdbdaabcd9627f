#include <tapestry/core/compile/schedule.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace tapestry {
namespace {

using kernels::Lane;
using kernels::Loop;
using kernels::Operand;

// Beyond this many operands a loop runs out of streams that the hardware prefetches, and out of L1.
constexpr std::size_t kMostInputs = 24;
constexpr std::size_t kMostInstructions = 96;

bool is_leaf(const Graph& graph, ValueId id) {
  const Op* op = &graph.op(id);
  return op == &language::input || op == &language::constant || op == &language::state;
}

/// Nodes that will be one loop. All iterate over the same extents in the same kind of register.
struct Group {
  std::vector<ValueId> nodes;
  Shape extents;
  Lane lane{};
  bool fusible = false;
  std::size_t instructions = 0;
  std::unordered_set<ValueId> inputs;
};

class Grouping {
 public:
  Grouping(const Graph& graph, bool fuse)
      : graph_(graph), fuse_(fuse), group_of_(graph.size(), kNone), loops_(graph.size()) {}

  std::vector<Group> run() {
    for (ValueId id = 0; id < graph_.size(); ++id) {
      if (!is_leaf(graph_, id) && !graph_.op(id).view) place(id);
    }
    return std::move(groups_);
  }

  /// The one-node loops, where nodes have any.
  std::vector<std::optional<Loop>>& loops() { return loops_; }

 private:
  void place(ValueId id) {
    const Node& node = graph_.node(id);
    if (node.op->loop) {
      std::vector<Type> types;
      for (const ValueId input : graph_.inputs(id)) types.push_back(graph_.type(input));
      loops_[id] = node.op->loop(types, node.type, node.attrs);
    }
    std::uint32_t target = loops_[id] && fuse_ ? find_group(id) : kNone;
    if (target == kNone) {
      target = std::uint32_t(groups_.size());
      groups_.emplace_back();
      if (loops_[id]) {
        groups_.back().fusible = true;
        groups_.back().extents = loops_[id]->extents;
        groups_.back().lane = loops_[id]->lane;
      }
    }
    Group& group = groups_[target];
    group.nodes.push_back(id);
    group_of_[id] = target;
    if (loops_[id]) group.instructions += std::max<std::size_t>(loops_[id]->code.size(), 1);
    for (const ValueId input : graph_.inputs(id)) {
      if (group_of_[storage_of(graph_, input)] == target) continue;
      if (group.inputs.insert(input).second) readers_[input].push_back(target);
    }
  }

  /// Groups run in order of creation. So a node may join any group no earlier than those that make its
  /// operands, and the group that makes an operand itself if it makes it element by element.
  std::uint32_t find_group(ValueId id) {
    std::uint32_t earliest = 0;
    for (const ValueId input : graph_.inputs(id)) {
      const ValueId storage = storage_of(graph_, input);
      const std::uint32_t maker = group_of_[storage];
      if (maker == kNone) continue;
      const bool in_register =
          storage == input && streams(input) && !converts(input) && reads_each_once(id, input);
      earliest = std::max(earliest, in_register ? maker : maker + 1);
    }
    // Joining pays where memory is shared: with the maker of an operand or with another reader of one.
    std::uint32_t best = kNone;
    const auto consider = [&](std::uint32_t g) {
      if (g != kNone && g >= earliest && g < best && fits(groups_[g], id)) best = g;
    };
    for (const ValueId input : graph_.inputs(id)) {
      consider(group_of_[storage_of(graph_, input)]);
      if (graph_.type(input).shape.elements() == 1) continue;  // everybody reads scalars
      if (const auto it = readers_.find(input); it != readers_.end()) {
        for (const std::uint32_t g : it->second) consider(g);
      }
    }
    return best;
  }

  bool streams(ValueId id) const {
    return loops_[id] && loops_[id]->outputs.front().reduce == kernels::Reduce::none;
  }

  /// A cast to a dtype that is not the register's happens when it is stored: 1.9 becomes 1 in memory only.
  /// (bf16 is f32 in registers by design: what is computed in one loop is rounded less often.)
  bool converts(ValueId id) const {
    const Loop& loop = *loops_[id];
    const DType dtype = loop.outputs.front().dtype;
    const DType held[] = {DType::f32, DType::f64, DType::i64};  // by lane
    const bool fits =
        dtype == held[std::size_t(loop.lane)] || (dtype == DType::bf16 && loop.lane == Lane::f32);
    return !fits && loop.code.size() == 1 && loop.code.front().code == kernels::Code::copy;
  }

  /// Does `user` read `input` at the very element it computes?
  bool reads_each_once(ValueId user, ValueId input) const {
    return graph_.type(input).shape == loops_[user]->extents;
  }

  bool fits(const Group& group, ValueId id) const {
    const Loop& loop = *loops_[id];
    return group.fusible && group.lane == loop.lane && group.extents == loop.extents &&
           group.inputs.size() + loop.inputs.size() <= kMostInputs &&
           group.instructions + loop.code.size() <= kMostInstructions;
  }

  const Graph& graph_;
  bool fuse_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> group_of_;
  std::vector<std::optional<Loop>> loops_;
  std::unordered_map<ValueId, std::vector<std::uint32_t>> readers_;
};

/// Joins the one-node loops of a group into one.
class Joiner {
 public:
  Joiner(const Graph& graph, const Group& group, std::vector<std::optional<Loop>>& loops,
         const std::vector<bool>& stored)
      : graph_(graph) {
    task_.loop = Loop{.extents = group.extents, .lane = group.lane, .inputs = {}, .code = {}, .outputs = {}};
    task_.nodes = group.nodes;
    for (const ValueId id : group.nodes) append(id, *loops[id], stored[id]);
  }
  Task take() { return std::move(task_); }

 private:
  void append(ValueId id, const Loop& loop, bool stored) {
    std::vector<Operand> operands;
    for (std::size_t i = 0; i < loop.inputs.size(); ++i) {
      operands.push_back(operand(graph_.input(id, int(i)), loop.inputs[i]));
    }
    const std::size_t first = task_.loop->code.size();
    const auto moved = [&](const Operand& o) {
      if (o.kind == Operand::Kind::input) return operands[o.index];
      if (o.kind == Operand::Kind::result) return Operand::result(first + o.index);
      return o;
    };
    for (kernels::Instruction instruction : loop.code) {
      instruction.a = moved(instruction.a);
      instruction.b = moved(instruction.b);
      instruction.c = moved(instruction.c);
      task_.loop->code.push_back(instruction);
    }
    kernels::LoopOutput output = loop.outputs.front();
    output.value = moved(output.value);
    if (output.reduce == kernels::Reduce::none) values_.emplace(id, output.value);
    if (stored) {
      task_.loop->outputs.push_back(output);
      task_.writes.push_back(id);
    }
  }

  Operand operand(ValueId input, const kernels::LoopInput& how) {
    if (const auto it = values_.find(input); it != values_.end()) return it->second;
    if (const Tensor* constant = language::constant_value(graph_, input);
        constant && constant->elements() == 1) {
      return is_floating(constant->dtype()) ? Operand::constant(constant->item())
                                            : Operand::constant(std::int64_t(constant->item()));
    }
    for (std::size_t i = 0; i < task_.reads.size(); ++i) {
      if (task_.reads[i] == input && task_.loop->inputs[i].strides == how.strides) return Operand::input(i);
    }
    task_.reads.push_back(input);
    task_.loop->inputs.push_back(how);
    return Operand::input(task_.reads.size() - 1);
  }

  const Graph& graph_;
  Task task_;
  std::unordered_map<ValueId, Operand> values_;  // made in this loop, element by element
};

/// Which values have to be in memory: results, and what another group or a view reads.
std::vector<bool> stored_values(const Graph& graph, const std::vector<Group>& groups,
                                const std::vector<std::optional<Loop>>& loops) {
  std::vector<bool> stored(graph.size(), false);
  for (const ValueId root : graph.roots()) stored[storage_of(graph, root)] = true;
  std::vector<std::uint32_t> group_of(graph.size(), kNone);
  for (std::uint32_t g = 0; g < groups.size(); ++g) {
    for (const ValueId id : groups[g].nodes) group_of[id] = g;
  }
  for (ValueId id = 0; id < graph.size(); ++id) {
    for (const ValueId input : graph.inputs(id)) {
      const bool reduced = loops[input] && loops[input]->outputs.front().reduce != kernels::Reduce::none;
      if (group_of[input] == kNone || group_of[input] != group_of[id] || reduced) {
        stored[storage_of(graph, input)] = true;
      }
    }
  }
  return stored;
}

}  // namespace

ValueId storage_of(const Graph& graph, ValueId id) {
  while (graph.op(id).view) id = graph.input(id, 0);
  return id;
}

std::vector<Task> schedule(const Graph& graph, bool fuse) {
  Grouping grouping(graph, fuse);
  const std::vector<Group> groups = grouping.run();
  const std::vector<bool> stored = stored_values(graph, groups, grouping.loops());
  std::vector<Task> tasks;
  for (const Group& group : groups) {
    if (group.fusible) {
      tasks.push_back(Joiner(graph, group, grouping.loops(), stored).take());
    } else {
      const ValueId id = group.nodes.front();
      const auto inputs = graph.inputs(id);
      tasks.push_back({{id}, {inputs.begin(), inputs.end()}, {id}, std::nullopt});
    }
  }
  return tasks;
}

}  // namespace tapestry
