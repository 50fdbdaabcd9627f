// The models that there are by name, each with the settings that suit it.
#pragma once

#include "config.hpp"

#include <tapestry/models/model.hpp>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::app {

struct ModelEntry {
  std::string name;
  std::string what;  // a line of help
  std::unique_ptr<Model> (*make)(const Config& config, DType dtype, std::int64_t side);
  /// Which it is made of, of the settings that some models have no use for.
  std::vector<std::string> takes;

  // Settings, as config.ini has them, where they are others than Config's own. What somebody has said wins.
  std::vector<Setting> itself{};    // what it is made of and what it sees
  std::vector<Setting> training{};  // how it is trained
  /// The update rule it is trained by, and what goes with that rule alone.
  std::string optimizer = "adam";
  std::vector<Setting> with_optimizer{};

  /// A gradient check's: few channels and images as small as still pass through all layers.
  std::vector<Setting> check{};
  std::int64_t check_side = 32;
  double check_step = 1e-3;  // small where there are many kinks, as relu has one
};

std::span<const ModelEntry> models();
/// Throws UsageError, naming those that there are.
const ModelEntry& model_entry(const std::string& name);
/// "fully_connected, three_layer, ..."
std::string model_names();
/// Whether a setting means anything to a model: all do but for those of `takes` that it doesn't name.
bool takes(const ModelEntry& model, std::string_view setting);
/// "for fully_connected, three_layer": the models that take it.
std::string for_models(std::string_view setting);

}  // namespace tapestry::app
