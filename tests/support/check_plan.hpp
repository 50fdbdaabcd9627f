// Proves a memory plan by walking through it: whatever a task reads is still where it was put, nothing is
// overwritten by the task that reads it unless element by element, and State changes only after all checks.
#pragma once

#include <tapestry/core/compile/plan.hpp>

namespace tapestry::test {

/// Throws an Error that names the task and the value if the plan of `graph` is wrong:
/// - a value that is read, moved or returned has been overwritten, or was never made;
/// - a task writes where it reads, though not each element over the one that it is made of;
/// - two results of a task, or a result and its scratch memory, overlap;
/// - something lies outside of the arena, or in memory of another size;
/// - State is written before first_commit, or a check runs after it;
/// - at the end an output, a new State or a State without an update isn't what it should be.
void check_plan(const Graph& graph, const Plan& plan, const PlanOptions& options = {});

}  // namespace tapestry::test
