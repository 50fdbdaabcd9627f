// bf16 where it pays: heavy ops read and make bf16 and sum in f32. Everything else stays as it was recorded,
// parameters, statistics, losses and moments among it.
#pragma once

#include <tapestry/core/graph.hpp>

#include <cstddef>
#include <map>
#include <string>

namespace tapestry {

/// What was cast.
struct PrecisionReport {
  std::map<std::string, std::size_t> ops;  // how many of each name
  std::size_t operands = 0;                // different values that were cast for them
  std::size_t kept = 0;                    // results left in f32, for State or outputs
};

/// "bf16: 11 matmul, 20 operands cast, 4 results kept in f32"
std::string to_string(const PrecisionReport& report);

/// Gives each f32 op that has Op::with_result bf16 operands. Its result is bf16, unless it comes to a State
/// or an output through pointwise ops alone (a weight's gradient, a score): that is f32, the sums as they
/// are. Each value is rounded where the graph says so, whatever runs together later. f64 is left alone.
Graph lower_precision(const Graph& graph, PrecisionReport* report = nullptr);

}  // namespace tapestry
