// A random program, run by the compiled pipeline and by the reference.
#pragma once

#include "random_graph.hpp"

#include <optional>
#include <string>

namespace tapestry::test {

struct Coverage {
  std::int64_t elements = 0, checked = 0, nodes = 0;
};

/// Where the compiled program differs from the reference, in f64 or f32, with all passes or without some;
/// nothing if it doesn't. `coverage` adds up what was compared.
std::optional<std::string> difference(const Recipe& recipe, Coverage* coverage = nullptr);

}  // namespace tapestry::test
