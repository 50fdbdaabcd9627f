// The memory plan: for each value of a scheduled graph the place where it lives, known before the first step.
// The peak is exact: nothing else is allocated.
#pragma once

#include <tapestry/core/compile/epilogues.hpp>
#include <tapestry/core/compile/schedule.hpp>

#include <cstddef>
#include <vector>

namespace tapestry {

/// Where a value's bytes are.
struct Place {
  enum class Kind : std::uint8_t {
    none,      // never in memory: a register of a loop
    argument,  // index: which one
    constant,  // in the graph
    state,     // index: into `states`
    output,    // index: which one; a buffer of the program's own
    arena,     // offset in bytes
  };
  Kind kind = Kind::none;
  std::size_t index = 0;   // or offset
  std::size_t offset = 0;  // of a view: where in it the view begins, in bytes
};

struct Plan {
  std::vector<Task> tasks;
  std::vector<Place> places;                 // by value
  std::vector<std::size_t> scratch;          // by task: offset of its scratch in the arena
  std::vector<kernels::CompiledLoop> loops;  // by task, those that are loops, in order
  std::vector<State> states;                 // all that is read or updated
  std::size_t arena_bytes = 0;
  std::size_t output_bytes = 0;
  double flops = 0;  // additions, multiplications and function calls of one step

  /// Tasks from here on may write State; all checks have passed before.
  std::size_t first_commit = 0;
  /// After the last task: values that have to be moved to where they are wanted.
  struct Copy {
    ValueId from;
    Place to;
    std::size_t bytes;
    /// Offset in the arena where it waits until all sources have been read; only old values of State do.
    std::optional<std::size_t> staging{};
  };
  std::vector<Copy> copies;
};

struct PlanOptions {
  bool fuse = true;
  bool recompute = true;  // loops may compute again what is cheaper to compute than to read
  bool in_place = true;   // results may take over the memory of operands that die
  bool views = true;      // slices that are parts of memory may be views of it
  bool epilogues = true;  // loops may take large results of kernels in parts
  std::size_t epilogue_bytes = kEpilogueBytes;  // of so many bytes
  bool guard_outputs = false;                   // outputs are checked before any State changes
};

/// Plans a graph of primitives, in which it makes slices views where that takes no more memory.
Plan plan(Graph& graph, const PlanOptions& options = {});
inline Plan plan(Graph&& graph, const PlanOptions& options = {}) { return plan(graph, options); }

}  // namespace tapestry
