// From a recorded graph to the one that is planned: what CompileOptions says of passes.
#pragma once

#include <tapestry/core/run/program.hpp>

#include <string>
#include <string_view>

namespace tapestry {

/// Is a pass, or a part of planning, left on?
bool is_pass_on(std::string_view pass, const CompileOptions& options);

/// Throws if `options.without` has a name that isn't one of theirs.
void check_pass_names(const CompileOptions& options);

/// expand(), then the passes that are on, then bf16 if that was asked for; `precision` then says what was
/// cast. With `options.verify` the graph is checked after each.
Graph run_passes(const Graph& graph, const CompileOptions& options, std::string& precision);

}  // namespace tapestry
