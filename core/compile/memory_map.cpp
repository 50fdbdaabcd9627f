#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/memory_map.hpp>
#include <tapestry/core/compile/task_info.hpp>

#include <algorithm>

namespace tapestry {

std::vector<MemoryBlock> memory_blocks(const Graph& graph, const Plan& plan) {
  const std::size_t end = plan.tasks.size();
  std::vector<std::size_t> last(graph.size(), 0);
  for (std::size_t t = 0; t < end; ++t) {
    for (const ValueId id : plan.tasks[t].writes) last[id] = std::max(last[id], t);
    for (const ValueId id : plan.tasks[t].reads) last[storage_of(graph, id)] = t;
  }
  for (const Plan::Copy& copy : plan.copies) last[storage_of(graph, copy.from)] = end;

  std::vector<MemoryBlock> blocks;
  for (std::size_t t = 0; t < end; ++t) {
    const Task& task = plan.tasks[t];
    for (const ValueId id : task.writes) {
      const Place& place = plan.places[id];
      if (place.kind != Place::Kind::arena) continue;
      blocks.push_back({label(graph, id), place.index, graph.type(id).bytes(), t, last[id]});
    }
  }
  std::size_t next_loop = 0;
  for (std::size_t t = 0; t < end; ++t) {
    if (!plan.tasks[t].loop) continue;
    const std::size_t bytes = plan.loops[next_loop++].scratch_bytes();
    if (bytes == 0) continue;
    blocks.push_back({"scratch of " + task_label(graph, plan.tasks[t]), plan.scratch[t], bytes, t, t, true});
  }
  for (const Plan::Copy& copy : plan.copies) {
    if (copy.staging)
      blocks.push_back({label(graph, copy.from) + ", set aside", *copy.staging, copy.bytes, end, end});
  }
  std::ranges::stable_sort(blocks, {}, &MemoryBlock::first);
  return blocks;
}

}  // namespace tapestry
