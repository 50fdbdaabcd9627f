// A recorded graph as a C++ program that records it anew, by the public functions, and compares what the
// compiled step gives with running it one node at a time: what a failing random graph is reported as.
#pragma once

#include <tapestry/core/graph.hpp>

#include <span>
#include <string>
#include <vector>

namespace tapestry::test {

/// Complete, with main(); compiles against <tapestry/tapestry.hpp>. State and arguments are written out with
/// the values that they have. Composed ops stay what they are. `title` becomes its first comment.
std::string cpp_program(const Graph& graph, std::span<const Tensor> arguments,
                        const std::vector<std::string>& without, const std::string& title);

}  // namespace tapestry::test
