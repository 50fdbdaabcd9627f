#include <tapestry/core/compile/epilogues.hpp>
#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <optional>

namespace tapestry {
namespace {

/// Of a part, about: what a second cache holds. Smaller ones pack the kernel's operands more often.
constexpr std::size_t kMostPartBytes = std::size_t{1} << 20;

/// The other task of a pair of a kernel and a loop, and the rows of a part.
struct Partner {
  std::size_t task;
  std::int64_t rows;
};

class Finder {
 public:
  Finder(const Graph& graph, const std::vector<Task>& tasks, std::size_t bytes)
      : graph_(graph), tasks_(tasks), bytes_(bytes), in_memory_(graph.size(), false), reader_(graph.size()) {
    for (const ValueId root : graph.roots()) in_memory_[storage_of(graph, root)] = true;
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      for (const ValueId id : tasks[t].reads) note_read(id, t);
      for (const ValueId id : tasks[t].nodes) {
        for (const ValueId input : graph.inputs(id)) {
          for_each_wait(graph, input, [&](ValueId other) { in_memory_[other] = true; });
        }
      }
    }
  }

  /// The loop that can take what kernel `t` makes, and how many rows at a time.
  std::optional<Partner> loop_for(std::size_t t) const {
    const Task& kernel = tasks_[t];
    if (kernel.loop || kernel.writes.size() != 1) return {};
    const ValueId id = kernel.writes.front();
    const Type& type = graph_.type(id);
    if (type.bytes() < bytes_ || type.bytes() == 0 || in_memory_[id] || reader_[id] == kNobody) return {};
    const bool reads_state = std::ranges::any_of(kernel.reads, [&](ValueId operand) {
      return &graph_.op(storage_of(graph_, operand)) == &language::state;  // it may change until the loop
    });
    const std::size_t reader = reader_[id] - 1;
    if (reads_state || !takes(tasks_[reader], id)) return {};
    const std::int64_t rows = rows_of_part(id);
    return rows > 0 ? std::optional(Partner{reader, rows}) : std::nullopt;
  }

 private:
  static constexpr std::size_t kNobody = 0;  // others are a task's number and one

  void note_read(ValueId id, std::size_t t) {
    const ValueId whole = storage_of(graph_, id);
    // Read as a view, or a second time.
    if (whole != id || reader_[id] != kNobody) in_memory_[whole] = true;
    reader_[whole] = t + 1;
  }

  /// Element by element, in order?
  bool takes(const Task& task, ValueId id) const {
    if (!task.loop || task.loop->row) return false;
    const kernels::Loop& loop = *task.loop;
    const Shape& shape = graph_.type(id).shape;
    const auto input = std::size_t(std::ranges::find(task.reads, id) - task.reads.begin());
    return shape.rank() > 0 && loop.extents == shape && loop.inputs[input].strides == strides_of(shape) &&
           std::ranges::all_of(loop.outputs,
                               [](const auto& output) { return output.reduce == kernels::Reduce::none; });
  }

  std::int64_t rows_of_part(ValueId id) const {
    const Node& node = graph_.node(id);
    if (!node.op->parts.rows) return 0;
    return node.op->parts.rows(graph_.input_types(id), node.type, node.attrs,
                               std::min(bytes_, kMostPartBytes));
  }

  const Graph& graph_;
  const std::vector<Task>& tasks_;
  std::size_t bytes_;
  std::vector<bool> in_memory_;  // by value: somebody needs it there
  std::vector<std::size_t> reader_;
};

}  // namespace

Epilogues with_epilogues(const Graph& graph, const std::vector<Task>& tasks, std::size_t bytes) {
  const Finder finder(graph, tasks, bytes);
  std::vector<std::optional<Partner>> kernel_of(tasks.size());
  std::vector<bool> moved(tasks.size(), false);
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const std::optional<Partner> loop = finder.loop_for(t);
    if (!loop || kernel_of[loop->task]) continue;
    kernel_of[loop->task] = {t, loop->rows};
    moved[t] = true;
  }
  if (std::ranges::find(moved, true) == moved.end()) return {};
  Epilogues result;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    if (moved[t]) continue;
    result.kept.push_back(t);
    Task& task = result.tasks.emplace_back(tasks[t]);
    if (!kernel_of[t]) continue;
    const Task& kernel = tasks[kernel_of[t]->task];
    task.in_parts = kernel.writes.front();
    task.rows_of_part = kernel_of[t]->rows;
    task.reads.insert(task.reads.end(), kernel.reads.begin(), kernel.reads.end());
    task.nodes.insert(std::ranges::lower_bound(task.nodes, *task.in_parts), *task.in_parts);
  }
  return result;
}

}  // namespace tapestry
