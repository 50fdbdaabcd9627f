// The optimizers that there are by name, each with the settings that it has a use for.
#pragma once

#include "config.hpp"

#include <tapestry/optim/optimizer.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::app {

struct OptimizerEntry {
  std::string name;
  /// `options` have what every optimizer takes.
  Optimizer (*make)(const Config& config, StateDict& state, OptimizerOptions options);
  /// Which it uses, of the settings that some optimizers have no use for.
  std::vector<std::string> takes;
  /// What the rule says itself, where that is something else than Config's own.
  std::vector<Setting> own{};
};

std::span<const OptimizerEntry> optimizers();
/// Throws UsageError, naming those that there are.
const OptimizerEntry& optimizer_entry(const std::string& name);
/// Whether a setting means anything to an optimizer: all do but for those of `takes` that it doesn't name.
bool takes(const OptimizerEntry& optimizer, std::string_view setting);
/// "for momentum, nesterov": the optimizers that take it.
std::string for_optimizers(std::string_view setting);

}  // namespace tapestry::app
