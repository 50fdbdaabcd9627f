// The order of tasks. They come as they were recorded: all gradients, then what an optimizer makes of them.
// So all gradients would be in memory together.
#pragma once

#include <tapestry/core/compile/schedule.hpp>

#include <cstddef>
#include <vector>

namespace tapestry {

/// The same tasks, with each update of State as soon as all that it reads is there and nobody needs the old
/// value any more: a gradient dies, and is still in the caches, right after it was made. No task that updates
/// State comes to stand before the first `checks` ones, which may fail.
std::vector<Task> update_early(const Graph& graph, std::vector<Task> tasks, std::size_t checks);

}  // namespace tapestry
