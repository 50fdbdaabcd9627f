#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/schedule.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <unordered_map>

namespace tapestry {
namespace {

using kernels::Loop;
using kernels::Operand;

/// Joins the one-node loops of a group into one.
class Joiner {
 public:
  Joiner(const Graph& graph, const Group& group, const std::vector<std::optional<Loop>>& loops,
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

std::vector<Task> schedule(const Graph& graph, bool fuse) {
  const Groups groups = group_nodes(graph, fuse);
  const std::vector<bool> stored = stored_values(graph, groups.order, groups.loops);
  std::vector<Task> tasks;
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

}  // namespace tapestry
