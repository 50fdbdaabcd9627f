// The schedules of the learning rate that there are by name, each with the settings that it has a use for.
#pragma once

#include "config.hpp"

#include <tapestry/optim/schedule.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::app {

struct ScheduleEntry {
  std::string name;
  Schedule (*make)(const Config& config, std::int64_t steps_per_epoch, std::int64_t steps);
  /// Which it uses, of the settings that some schedules have no use for.
  std::vector<std::string> takes{};
};

std::span<const ScheduleEntry> schedules();
/// Throws UsageError, naming those that there are.
const ScheduleEntry& schedule_entry(const std::string& name);
/// Whether a setting means anything to a schedule: all do but for those of `takes` that it doesn't name.
bool takes(const ScheduleEntry& schedule, std::string_view setting);
/// "for exponential, step": the schedules that take it.
std::string for_schedules(std::string_view setting);

}  // namespace tapestry::app
