// Slices that lie in the memory of what they are slices of: those of leading axes, whose elements follow one
// another there.
#pragma once

#include <tapestry/core/compile/schedule.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace tapestry {

/// Which slices among `tasks`, in the order in which they will run, can be views instead of copies;
/// ascending. None is an output or a new value of State, which have places of their own, and none makes a
/// State keep its old value until another task has made the new one. They begin anywhere: no kernel needs
/// aligned operands.
///
/// A view keeps the whole in memory, a copy its part alone. If they are `weighed`, only those are returned
/// for which the whole, as long as it lives longer, is less than the copies: in bytes times tasks.
std::vector<ValueId> slices_to_view(const Graph& graph, std::span<const Task> tasks, bool weighed);

/// Where in its operand the view `id` begins, in bytes.
std::size_t view_offset(const Graph& graph, ValueId id);

}  // namespace tapestry
