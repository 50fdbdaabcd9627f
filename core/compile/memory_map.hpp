// What lies where in the arena, and when: the memory plan as rectangles over time.
#pragma once

#include <tapestry/core/compile/plan.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace tapestry {

/// Bytes [offset, offset + bytes) of the arena are in use from the beginning of task `first` to the end of
/// task `last`; a `last` equal to the number of tasks is the end of the step.
struct MemoryBlock {
  std::string label;  // the value's, "norm1/batchnorm/mul"; of what a loop works with, "scratch of ..."
  std::size_t offset = 0;
  std::size_t bytes = 0;
  std::size_t first = 0, last = 0;
  bool scratch = false;
};

/// In the order of `first`. The highest end of a block, rounded up to 64 bytes, is plan.arena_bytes. A value
/// that takes over the memory of an operand begins in the task in which that one ends.
std::vector<MemoryBlock> memory_blocks(const Graph& graph, const Plan& plan);

}  // namespace tapestry
