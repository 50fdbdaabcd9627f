// Tests of passes: graph 1, run, expect graph 2.
#pragma once

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/tape.hpp>

#include <functional>
#include <string>
#include <vector>

namespace tapestry::test {

using Recording = std::function<Var(std::span<const Var>)>;

/// Checks that `pass` makes of `before` the graph that `after` records, as text without lines. Both are given
/// inputs of `types`.
void check_rewritten(Graph (*pass)(const Graph&), const std::vector<Type>& types, const Recording& before,
                     const Recording& after);
/// With one input.
void check_rewritten(Graph (*pass)(const Graph&), const Type& type,
                     const std::function<Var(const Var&)>& before,
                     const std::function<Var(const Var&)>& after);

}  // namespace tapestry::test
