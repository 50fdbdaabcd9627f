#include "differential.hpp"

#include "approximate.hpp"

#include <tapestry/core/run/program.hpp>

namespace tapestry::test {
namespace {

constexpr std::string_view kPasses[] = {"fold_constants", "simplify", "cse", "fuse", "in_place"};

class Comparison {
 public:
  Comparison(const Recorded& recorded, Coverage* coverage) : recorded_(recorded), coverage_(coverage) {}

  /// `steps` steps from the initial State; a second one meets memory that the first has left.
  std::optional<std::string> run(const CompileOptions& options, int steps) {
    recorded_.reset();
    Program program(recorded_.graph, options);
    for (int step = 0; step < steps; ++step) {
      const Approximation expected = approximate(recorded_.graph, recorded_.arguments);
      program.run(recorded_.arguments);
      if (const auto found = compare(program, expected)) {
        std::string where = text("step ", step);
        for (const std::string& name : options.without) where += text(", without ", name);
        return where + ": " + *found;
      }
    }
    return {};
  }

 private:
  std::optional<std::string> compare(const Program& program, const Approximation& expected) {
    const Graph& graph = expected.graph;
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
      const auto found = check(program.output(i), expected.values[graph.outputs[i]]);
      if (found) return text("output ", i, ": ", *found);
    }
    for (const Update& update : graph.updates) {
      const auto found = check(update.state.value(), expected.values[update.value]);
      if (found) return text("state ", update.state.name(), ": ", *found);
    }
    return {};
  }

  std::optional<std::string> check(const Tensor& value, const Approximate& expected) {
    if (value.type() != expected.type) return text("is ", value.type(), ", not ", expected.type);
    const Deviation found = deviation(value, expected);
    if (coverage_) {
      coverage_->elements += found.elements;
      coverage_->checked += found.checked;
    }
    return found.worst.empty() ? std::nullopt : std::optional(found.worst);
  }

  const Recorded& recorded_;
  Coverage* coverage_;
};

}  // namespace

std::optional<std::string> difference(const Recipe& recipe, Coverage* coverage) {
  Random random(recipe.seed, 99);
  CompileOptions some{.verify = true};
  for (const std::string_view name : kPasses) {
    if (random.below(2) == 0) some.without.emplace_back(name);
  }
  for (const DType base : {DType::f64, DType::f32}) {
    try {
      const Recorded recorded = record(recipe, base);
      if (coverage) coverage->nodes += std::int64_t(recorded.graph.size());
      Comparison comparison(recorded, coverage);
      auto found = comparison.run({.verify = true}, 2);
      if (!found) found = comparison.run(some, 1);
      if (found) return text("in ", name_of(base), ", ", *found);
    } catch (const std::exception& e) {
      return text("in ", name_of(base), ": ", e.what());
    }
  }
  return {};
}

}  // namespace tapestry::test
