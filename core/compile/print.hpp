// A graph as text, a node a line, and as Graphviz.
#pragma once

#include <tapestry/core/graph.hpp>

#include <cstdint>
#include <string>

namespace tapestry {

enum class Origins : std::uint8_t { layers, layers_and_lines };

/// "%3 = matmul(%0, %2) {transpose_b=true} : f32 [100, 500]  # fc1, train.cpp:12", then outputs and updates.
/// Who didn't write the program has no use for the lines of it.
std::string to_text(const Graph& graph, Origins origins = Origins::layers_and_lines);
/// For `dot`: leaves as boxes, ops as ellipses, edges labelled with types.
std::string to_graphviz(const Graph& graph);

}  // namespace tapestry
