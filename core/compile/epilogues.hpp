// Epilogues: a loop that takes the result of a kernel part by part, each while it is in cache, so that the
// whole is never in memory. What an optimizer makes of a weight's gradient is such a loop: the gradient is
// neither written nor read again, and one thread multiplies while another waits for memory.
#pragma once

#include <tapestry/core/compile/schedule.hpp>

#include <cstddef>
#include <vector>

namespace tapestry {

/// Results of fewer bytes stay in a cache anyway, and cutting them costs more than it saves.
inline constexpr std::size_t kEpilogueBytes = std::size_t{512} << 10;

struct Epilogues {
  std::vector<Task> tasks;
  std::vector<std::size_t> kept;  // by task: which one it was; the kernels' tasks are no more
};

/// Of tasks in order, those with loops that became epilogues of kernels with results of at least `bytes`
/// bytes. Each loop is the only reader of that result, reads it element by element, and reduces nothing. The
/// kernel runs where the loop did. How many rows a part has follows from the threads that there are
/// now, and from `bytes` if these are fewer than is best; with 0 they are as few as can be, for tests.
/// Without any epilogue there are no tasks.
Epilogues with_epilogues(const Graph& graph, const std::vector<Task>& tasks, std::size_t bytes);

}  // namespace tapestry
