// Learning rates as plain functions of the step, counted from 0. Compose them by calling one another.
#pragma once

#include <cstdint>
#include <functional>

namespace tapestry {

using Schedule = std::function<double(std::int64_t step)>;

Schedule constant_schedule(double rate);
/// rate * factor^epoch, the epoch being step / steps_per_epoch, rounded down: the notebook's lr_decay.
Schedule exponential_schedule(double rate, double factor, std::int64_t steps_per_epoch);
/// rate * factor^(step / period), rounded down.
Schedule step_schedule(double rate, double factor, std::int64_t period);
/// From rate down to `last` along half a cosine over `steps`, then `last` (Loshchilov and Hutter, 2017).
Schedule cosine_schedule(double rate, std::int64_t steps, double last = 0);
/// From rate to `last` along a line over `steps`, then `last`.
Schedule linear_schedule(double rate, std::int64_t steps, double last = 0);
/// `then`, scaled by (step + 1) / steps for the first `steps`.
Schedule warm_up(std::int64_t steps, Schedule then);

/// Up to rate along a line over the first `rise` steps, the last of which has it, then down to `last` along
/// another, which it reaches at `steps`.
Schedule warm_up_linear_schedule(double rate, std::int64_t rise, std::int64_t steps, double last = 0);

}  // namespace tapestry
