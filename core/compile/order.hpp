// The order of tasks. They come as they were recorded: all gradients, then what an optimizer makes of them.
// So all gradients would be in memory together, and so would be what several branches leave for later.
#pragma once

#include <tapestry/core/compile/schedule.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace tapestry {

/// The same tasks, with each update of State as soon as all that it reads is there and nobody needs the old
/// value any more: a gradient dies, and is still in the caches, right after it was made. No task that updates
/// State comes to stand before the first `checks` ones, which may fail.
std::vector<Task> update_early(const Graph& graph, std::vector<Task> tasks, std::size_t checks);

/// By position: which of the tasks comes there if one whose results take less memory than the operands that
/// die with it comes as soon as it can, the others staying in order. Many branches that were recorded side by
/// side then run one after the other. Values of State are overwritten after the same readers as before, and
/// after all tasks of `checks`, of which there is one flag a task.
std::vector<std::size_t> free_early(const Graph& graph, std::span<const Task> tasks,
                                    const std::vector<bool>& checks);

}  // namespace tapestry
