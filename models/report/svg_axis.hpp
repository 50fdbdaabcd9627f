// Axes: from the range of the data to nice numbers along a chart's edge.
#pragma once

#include <tapestry/models/report/svg.hpp>

#include <optional>
#include <string>
#include <vector>

namespace tapestry::charts {

/// The finite values seen so far. Magnitudes above 1e300 count as 1e300, so that differences stay finite.
struct Range {
  double low = 0, high = 0;
  bool empty = true, integers = true;

  void add(double value);
};

struct Tick {
  double value = 0;
  std::string label;
};

class Axis {
 public:
  /// Ticks at 1, 2 or 5 times a power of ten, about `ticks` of them. `round_ends` extends the axis to whole
  /// ticks; otherwise a little room is left at both ends, and integers get ticks at integers only.
  static Axis linear(Range range, int ticks, bool round_ends, Unit unit = Unit::number);
  /// Ticks at powers of ten, over less than three decades also at 2 and 5 times these. The range must be
  /// positive.
  static Axis logarithmic(Range range, int ticks);
  /// Moves the ends; ticks outside are dropped.
  void limit(std::optional<double> low, std::optional<double> high);

  /// 0 at the low end, 1 at the high end.
  double position(double value) const;
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  double low_ = 0, high_ = 1;
  bool log_ = false;
  std::vector<Tick> ticks_;
};

}  // namespace tapestry::charts
