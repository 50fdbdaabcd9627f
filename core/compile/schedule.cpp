#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/recompute.hpp>
#include <tapestry/core/compile/schedule.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <utility>

namespace tapestry {
namespace {

using kernels::Loop;
using kernels::Operand;

/// Joins the one-node loops of a group into one.
class Joiner {
 public:
  Joiner(const Graph& graph, const Group& group, const std::vector<std::optional<Loop>>& loops,
         const std::vector<bool>& stored)
      : graph_(graph), group_(group) {
    task_.loop = Loop{.extents = group.extents, .lane = group.lane};
    if (group.row != kNoRows) task_.loop->row = group.row;
    task_.nodes = group.nodes;
    task_.nodes.insert(task_.nodes.end(), group.recomputed.begin(), group.recomputed.end());
    std::ranges::sort(task_.nodes);
    find_handed_over();
    for (const ValueId id : task_.nodes) {
      append(id, *loops[id], stored[id] && std::ranges::binary_search(group.nodes, id));
    }
  }
  Task take() { return std::move(task_); }

 private:
  void find_handed_over() {
    for (const ValueId id : task_.nodes) {
      for (const ValueId input : graph_.inputs(id)) {
        const ValueId storage = storage_of(graph_, input);
        if (std::ranges::binary_search(task_.nodes, storage)) handed_over_.push_back(storage);
      }
    }
    std::ranges::sort(handed_over_);
  }

  void append(ValueId id, const Loop& loop, bool stored) {
    const Placement placement = *place_in(loop, group_.extents, group_.row);
    std::vector<Operand> operands;
    for (std::size_t i = 0; i < loop.inputs.size(); ++i) {
      operands.push_back(operand(graph_.input(id, int(i)),
                                 {loop.inputs[i].dtype, placement.strides(loop.inputs[i].strides)}));
    }
    std::vector<kernels::Instruction>& code = task_.loop->code;
    const std::size_t first = code.size();
    const auto moved = [&](const Operand& o) {
      if (o.kind == Operand::Kind::input) return operands[o.index];
      if (o.kind == Operand::Kind::result) return Operand::result(first + o.index);
      return o;
    };
    for (kernels::Instruction instruction : loop.code) {
      instruction.a = moved(instruction.a);
      instruction.b = moved(instruction.b);
      instruction.c = moved(instruction.c);
      code.push_back(instruction);
    }
    kernels::LoopOutput output = loop.outputs.front();
    output.value = moved(output.value);
    output.strides = placement.strides(output.strides);
    output.per_row = placement.per_row;
    if (output.reduce != kernels::Reduce::none && std::ranges::binary_search(handed_over_, id)) {
      code.push_back({kernels::row_code(output.reduce), output.value});
      output.value = Operand::result(code.size() - 1);
      output.reduce = kernels::Reduce::none;
      output.per_row = true;
      for (int d = group_.row; d < output.strides.rank(); ++d) output.strides[d] = 0;
    }
    if (output.reduce == kernels::Reduce::none) values_.emplace_back(id, output.value);
    if (stored) {
      task_.loop->outputs.push_back(output);
      task_.writes.push_back(id);
    }
  }

  Operand operand(ValueId input, const kernels::LoopInput& how) {
    const ValueId storage = storage_of(graph_, input);
    const auto made = std::ranges::lower_bound(values_, storage, {}, &Made::first);
    if (made != values_.end() && made->first == storage) return made->second;
    if (const Tensor* constant = language::constant_value(graph_, input);
        constant && constant->elements() == 1) {
      return is_floating(constant->dtype())
                 ? Operand::constant(constant->item())
                 : Operand::constant(constant->to(DType::i64).values<std::int64_t>()[0]);
    }
    for (std::size_t i = 0; i < task_.reads.size(); ++i) {
      if (task_.reads[i] == input && task_.loop->inputs[i].strides == how.strides) return Operand::input(i);
    }
    task_.reads.push_back(input);
    task_.loop->inputs.push_back(how);
    return Operand::input(task_.reads.size() - 1);
  }

  const Graph& graph_;
  const Group& group_;
  Task task_;
  std::vector<ValueId> handed_over_;  // from node to node; ascending
  using Made = std::pair<ValueId, Operand>;
  std::vector<Made> values_;  // made in this loop, as they are handed over; ascending
};

std::vector<Task> tasks_of(const Graph& graph, const Groups& groups) {
  const std::vector<bool> stored = stored_values(graph, groups);
  std::vector<Task> tasks;
  tasks.reserve(groups.order.size());
  for (const Group& group : groups.order) {
    if (group.is_loop) {
      tasks.push_back(Joiner(graph, group, groups.loops, stored).take());
    } else {
      const ValueId id = group.nodes.front();
      const auto inputs = graph.inputs(id);
      tasks.push_back({{id}, {inputs.begin(), inputs.end()}, {id}, std::nullopt});
    }
  }
  return tasks;
}

/// Are there no rows in its loop, or none too long?
bool fits(const Task& task) {
  return !task.loop || !task.loop->row || kernels::CompiledLoop::fits(*task.loop);
}

/// Takes apart the groups with rows that hold too much at once to be one loop.
void take_apart(const Graph& graph, Groups& groups) {
  const auto has_rows = [](const Group& group) { return group.row != kNoRows; };
  if (std::ranges::none_of(groups.order, has_rows)) return;
  const std::vector<bool> stored = stored_values(graph, groups);
  std::vector<Group> parts;
  parts.reserve(groups.order.size());
  for (Group& group : groups.order) {
    if (!has_rows(group) ||
        kernels::CompiledLoop::fits(*Joiner(graph, group, groups.loops, stored).take().loop)) {
      parts.push_back(std::move(group));
      continue;
    }
    for (const ValueId id : group.nodes) {
      const Loop& loop = *groups.loops[id];
      parts.push_back({.nodes = {id}, .is_loop = true, .extents = loop.extents, .lane = loop.lane});
    }
  }
  groups.order = std::move(parts);
}

/// Tasks that compute again what recompute() says; nothing, and the groups as they were, if that is nothing.
std::optional<std::vector<Task>> with_recomputed(const Graph& graph, Groups& groups) {
  std::optional<Groups> before;
  if (std::ranges::any_of(groups.order, is_tight)) before = groups;
  for (const bool careful : {false, true}) {
    if (!recompute(graph, groups, careful)) break;
    std::vector<Task> tasks = tasks_of(graph, groups);
    // What a loop has to keep for others, and what it no longer writes straight to memory, takes room.
    if (careful || !before || std::ranges::all_of(tasks, fits)) return tasks;
    groups = *before;
  }
  return {};
}

}  // namespace

std::vector<Task> schedule(const Graph& graph, bool fuse, bool may_recompute) {
  Groups groups = group_nodes(graph, fuse);
  take_apart(graph, groups);
  if (fuse && may_recompute) {
    if (std::optional<std::vector<Task>> tasks = with_recomputed(graph, groups)) return std::move(*tasks);
  }
  return tasks_of(graph, groups);
}

}  // namespace tapestry
