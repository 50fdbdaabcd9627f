#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/precision.hpp>
#include <tapestry/core/compile/run_passes.hpp>
#include <tapestry/core/compile/verify.hpp>

#include <algorithm>

namespace tapestry {

bool is_pass_on(std::string_view pass, const CompileOptions& options) {
  return std::ranges::find(options.without, pass) == options.without.end();
}

Graph run_passes(const Graph& graph, const CompileOptions& options, std::string& precision) {
  const auto check = [&](const Graph& g) {
    if (options.verify) verify(g);
  };
  check(graph);
  Graph current = expand(graph);
  check(current);
  for (const Pass& pass : passes()) {
    if (!is_pass_on(pass.name, options)) continue;
    current = pass.run(current);
    check(current);
  }
  if (options.precision == Precision::bf16) {
    // After transposes are absorbed, which are then no values to cast; what it makes is simplified in turn.
    PrecisionReport report;
    current = lower_precision(current, &report);
    precision = to_string(report);
    check(current);
    if (is_pass_on("simplify", options)) current = simplify(current);
    if (is_pass_on("cse", options)) current = eliminate_common_subexpressions(current);
    check(current);
  }
  current = remove_dead_code(current);
  check(current);
  return current;
}

void check_pass_names(const CompileOptions& options) {
  static constexpr std::string_view of_plan[] = {"fuse", "recompute", "in_place", "views", "epilogues"};
  std::string known;
  for (const std::string_view name : of_plan) known += text(known.empty() ? "" : ", ", name);
  for (const Pass& pass : passes()) {
    if (known.find(pass.name) == std::string::npos) known += text(", ", pass.name);
  }
  for (const std::string& name : options.without) {
    const bool exists = std::ranges::find(of_plan, name) != std::end(of_plan) ||
                        std::ranges::any_of(passes(), [&](const Pass& pass) { return pass.name == name; });
    require(exists, "there is no pass named ", name, "; there are: ", known);
  }
}

}  // namespace tapestry
