#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/svg_axis.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace tapestry::charts {
namespace {

constexpr double kHuge = 1e300;

// mantissa * 10^exponent with a mantissa of 1, 2 or 5.
struct Step {
  int mantissa = 1;
  int exponent = 0;

  // 3 * 0.1 is not 0.3, but 3 / 10 is.
  double times(double count) const {
    return exponent >= 0 ? count * mantissa * std::pow(10.0, exponent)
                         : count * mantissa / std::pow(10.0, -exponent);
  }
};

Step nice_step(double at_least) {
  const int exponent = int(std::floor(std::log10(at_least)));
  for (const int mantissa : {1, 2, 5}) {
    const Step step{mantissa, exponent};
    if (step.times(1) >= at_least * (1 - 1e-9)) return step;
  }
  return {1, exponent + 1};
}

std::string tick_label(double value, const Step& step, double largest, Unit unit) {
  if (unit == Unit::percent && largest < 1e4 && step.exponent >= -8) {
    return format_percent(value, std::max(0, -step.exponent - 2));
  }
  if (largest >= 1e7 || step.exponent < -5) {
    const double steps = largest / step.times(1);
    return format_significant(value, std::clamp(int(std::log10(steps)) + 2, 1, 9));
  }
  if (step.exponent >= 0) return format_count(std::int64_t(std::llround(value)));
  return format_fixed(value, -step.exponent);
}

}  // namespace

void Range::add(double value) {
  if (!std::isfinite(value)) return;
  value = std::clamp(value, -kHuge, kHuge);
  integers = integers && value == std::floor(value);
  low = empty ? value : std::min(low, value);
  high = empty ? value : std::max(high, value);
  empty = false;
}

Axis Axis::linear(Range range, int ticks, bool round_ends, Unit unit) {
  if (range.empty) range.high = 1;
  const double magnitude = std::max(std::abs(range.low), std::abs(range.high));
  if (range.high - range.low <= 1e-9 * magnitude || range.high - range.low < 1e-290) {
    // A constant: some room around it.
    const double room = magnitude < 1e-290 ? 1 : !round_ends && range.integers ? 0.5 : magnitude / 10;
    range.low -= room;
    range.high += room;
  }
  double span = range.high - range.low;
  Step step = nice_step(span / ticks);
  if (!round_ends && range.integers && step.exponent < 0) step = {1, 0};

  Axis axis;
  const double unit_step = step.times(1);
  if (round_ends) {
    axis.low_ = step.times(std::floor(range.low / unit_step + 1e-9));
    axis.high_ = step.times(std::ceil(range.high / unit_step - 1e-9));
  } else {
    axis.low_ = range.low - span * 0.02;
    axis.high_ = range.high + span * 0.02;
  }
  const double first = std::ceil(axis.low_ / unit_step - 1e-9),
               last = std::floor(axis.high_ / unit_step + 1e-9);
  const double largest = std::max(std::abs(axis.low_), std::abs(axis.high_));
  for (double i = first; i <= last && axis.ticks_.size() < 100; ++i) {
    const double value = step.times(i);
    axis.ticks_.push_back({value, tick_label(value, step, largest, unit)});
  }
  return axis;
}

Axis Axis::logarithmic(Range range, int ticks) {
  if (range.empty) range = {1, 10, false, true};
  range.low = std::max(range.low, 1e-300);
  range.high = std::max(range.high, range.low);
  const int first = int(std::floor(std::log10(range.low) + 1e-9));
  const int last = int(std::ceil(std::log10(range.high) - 1e-9));
  const int decades = std::max(1, last - first);

  std::vector<double> candidates;
  const auto power = [](int exponent) {
    return exponent >= 0 ? std::pow(10.0, exponent) : 1 / std::pow(10.0, -exponent);
  };
  if (decades < 3) {
    for (int e = first; e <= first + decades; ++e) {
      for (const int m : {1, 2, 5}) candidates.push_back(m * power(e));
    }
  } else {
    const int stride = std::max(1, (decades + ticks - 1) / ticks);
    for (int e = first; e < last + stride; e += stride) candidates.push_back(power(e));
  }

  Axis axis;
  axis.log_ = true;
  // The last candidate below the data and the first above it.
  auto low = std::upper_bound(candidates.begin(), candidates.end(), range.low * (1 + 1e-9));
  if (low != candidates.begin()) --low;
  auto high = std::lower_bound(low, candidates.end(), range.high * (1 - 1e-9));
  if (high == candidates.end()) --high;
  if (high == low) {  // a constant
    if (low != candidates.begin()) --low;
    if (high + 1 != candidates.end()) ++high;
  }
  axis.low_ = *low;
  axis.high_ = *high;
  for (auto tick = low; tick <= high; ++tick) axis.ticks_.push_back({*tick, format_significant(*tick, 2)});
  return axis;
}

void Axis::limit(std::optional<double> low, std::optional<double> high) {
  const double new_low = low.value_or(low_), new_high = high.value_or(high_);
  if (!(new_low < new_high) || !std::isfinite(new_high - new_low) || (log_ && new_low <= 0)) return;
  low_ = new_low;
  high_ = new_high;
  std::erase_if(ticks_, [&](const Tick& tick) {
    const double at = position(tick.value);
    return at < -1e-9 || at > 1 + 1e-9;
  });
}

double Axis::position(double value) const {
  value = std::clamp(value, -kHuge, kHuge);
  if (log_) return std::log(value / low_) / std::log(high_ / low_);
  return (value - low_) / (high_ - low_);
}

}  // namespace tapestry::charts
