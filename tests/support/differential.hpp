// A random program, run by the compiled pipeline and by the reference; and what is left of one that fails
// when everything is taken away that it can fail without.
#pragma once

#include "random_graph.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tapestry::test {

/// How a recipe is run.
struct Setting {
  DType base = DType::f64;
  std::vector<std::string> without{};  // passes
  bool winograd = false;               // convolutions by minimal filtering wherever that is possible
  bool amx = true;                     // bf16 by AMX, where there is any
};

struct Failure {
  Setting setting;
  std::string what;
  bool threw = false;
};

/// What was compared: elements; those with a bound that says something (1 % or better); nodes recorded, and
/// how many graphs have an op, as recorded or in its definition; slices that are views in the plan, and
/// results of kernels that are made in parts.
struct Coverage {
  std::int64_t elements = 0, checked = 0, nodes = 0, views = 0, epilogues = 0;
  std::map<std::string_view, int> ops{};
};

/// Where the compiled program differs from the reference: two steps from the initial State, as the second
/// meets memory that the first has left. Nothing if it doesn't differ.
std::optional<Failure> difference(const Recipe& recipe, const Setting& setting, Coverage* coverage = nullptr);

/// The same in f64 and f32, each with all passes and without a random choice of them; by Winograd's minimal
/// filtering for every second recipe, without AMX for every fourth.
std::optional<Failure> difference(const Recipe& recipe, Coverage* coverage = nullptr);

/// A smaller recipe that fails, in a setting with no more passes switched off: steps are dropped, bypassed,
/// replaced by inputs or by simpler ones, outputs left out, extents shrunk, until none of that fails any
/// more.
struct Shrunk {
  Recipe recipe;
  Failure failure;
};
Shrunk shrink(Recipe recipe, Failure failure);

/// What went wrong, and the shrunken graph as a C++ program.
std::string report(const Recipe& recipe, const Failure& failure);

}  // namespace tapestry::test
