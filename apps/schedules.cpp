#include "schedules.hpp"

#include "entries.hpp"

#include <algorithm>

namespace tapestry::app {
namespace {

Schedule warmed_up(const Config& c, Schedule schedule) {
  return c.warm_up > 0 ? warm_up(c.warm_up, std::move(schedule)) : schedule;
}

Schedule constant(const Config& c, std::int64_t, std::int64_t) {
  return warmed_up(c, constant_schedule(c.learning_rate));
}
Schedule exponential(const Config& c, std::int64_t steps_per_epoch, std::int64_t) {
  return warmed_up(c, exponential_schedule(c.learning_rate, c.lr_decay, steps_per_epoch));
}
Schedule step(const Config& c, std::int64_t steps_per_epoch, std::int64_t) {
  return warmed_up(c, step_schedule(c.learning_rate, c.lr_decay, c.decay_every * steps_per_epoch));
}
Schedule cosine(const Config& c, std::int64_t, std::int64_t steps) {
  return warmed_up(c, cosine_schedule(c.learning_rate, steps));
}
// Its fall begins where it has risen.
Schedule linear(const Config& c, std::int64_t, std::int64_t steps) {
  return warm_up_linear_schedule(c.learning_rate, std::clamp<std::int64_t>(c.warm_up, 1, steps), steps);
}

const std::vector<ScheduleEntry>& all() {
  static const std::vector<ScheduleEntry> kSchedules = {
      {.name = "constant", .make = constant},
      {.name = "exponential", .make = exponential, .takes = {"lr-decay"}},
      {.name = "step", .make = step, .takes = {"lr-decay", "decay-every"}},
      {.name = "cosine", .make = cosine},
      {.name = "linear", .make = linear},
  };
  return kSchedules;
}

}  // namespace

std::span<const ScheduleEntry> schedules() { return all(); }

const ScheduleEntry& schedule_entry(const std::string& name) {
  return entry_named(schedules(), "--schedule", name);
}

bool takes(const ScheduleEntry& schedule, std::string_view setting) {
  return takes(schedules(), schedule, setting);
}

std::string for_schedules(std::string_view setting) { return for_those(schedules(), setting); }

}  // namespace tapestry::app
