// What a run has of the lists of models, optimizers and schedules: which settings mean something to it, and
// which it has where nobody says them.
#pragma once

#include "models.hpp"
#include "optimizers.hpp"
#include "schedules.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::app {

struct Chosen {
  const ModelEntry& model;
  const OptimizerEntry& optimizer;
  const ScheduleEntry& schedule;

  /// Those that the settings "model", "optimizer" and "schedule" name; nothing for one that nobody gave.
  /// Throws UsageError.
  static Chosen by(const std::function<std::optional<std::string>(const std::string& setting)>& given);
  static Chosen by(const Config& config);

  /// Whether a setting means something to all of them.
  bool take(std::string_view setting) const;
  /// What is set to something else than Config's own where nobody says it; of two with one name the first.
  std::vector<Setting> defaults() const;
};

}  // namespace tapestry::app
