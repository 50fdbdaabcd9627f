#include <tapestry/core/error.hpp>
#include <tapestry/optim/schedule.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tapestry {

Schedule constant_schedule(double rate) {
  return [=](std::int64_t) { return rate; };
}

Schedule exponential_schedule(double rate, double factor, std::int64_t steps_per_epoch) {
  return step_schedule(rate, factor, steps_per_epoch);
}

Schedule step_schedule(double rate, double factor, std::int64_t period) {
  require(period > 0, "a schedule's period must be positive, not ", period);
  return [=](std::int64_t step) { return rate * std::pow(factor, double(step / period)); };
}

Schedule cosine_schedule(double rate, std::int64_t steps, double last) {
  require(steps > 0, "a schedule's length must be positive, not ", steps);
  return [=](std::int64_t step) {
    const double progress = std::min(1.0, double(step) / double(steps));
    return last + (rate - last) * (1 + std::cos(std::numbers::pi * progress)) / 2;
  };
}

Schedule linear_schedule(double rate, std::int64_t steps, double last) {
  require(steps > 0, "a schedule's length must be positive, not ", steps);
  return [=](std::int64_t step) {
    const double progress = std::min(1.0, double(step) / double(steps));
    return rate + (last - rate) * progress;
  };
}

Schedule warm_up(std::int64_t steps, Schedule then) {
  require(steps > 0, "a warm-up's length must be positive, not ", steps);
  return [=](std::int64_t step) { return then(step) * std::min(1.0, double(step + 1) / double(steps)); };
}

Schedule warm_up_linear_schedule(double rate, std::int64_t rise, std::int64_t steps, double last) {
  require(rise > 0, "a warm-up's length must be positive, not ", rise);
  require(steps >= rise, "a schedule of ", steps, " steps has no room for a warm-up of ", rise);
  const std::int64_t peak = rise - 1;
  return [=, fall = linear_schedule(rate, steps - peak, last)](std::int64_t step) {
    return step < peak ? rate * double(step + 1) / double(rise) : fall(step - peak);
  };
}

}  // namespace tapestry
