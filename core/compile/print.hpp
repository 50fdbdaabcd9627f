// A graph as text, a node a line, and as Graphviz.
#pragma once

#include <tapestry/core/graph.hpp>

#include <string>

namespace tapestry {

/// "%3 = matmul(%0, %2) {transpose_b=true} : f32 [100, 500]  # fc1, train.cpp:12", then outputs and updates.
std::string to_text(const Graph& graph);
/// For `dot`: leaves as boxes, ops as ellipses, edges labelled with types.
std::string to_graphviz(const Graph& graph);

}  // namespace tapestry
