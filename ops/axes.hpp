// Which axes an op works along.
#pragma once

#include <tapestry/core/shape.hpp>

#include <initializer_list>
#include <utility>
#include <vector>

namespace tapestry {

/// A list of axes, negative ones counted from the end; all of them by default.
class Axes {
 public:
  Axes() = default;  // all
  Axes(int axis) : axes_{axis}, all_(false) {}
  Axes(std::initializer_list<int> axes) : axes_(axes), all_(false) {}
  explicit Axes(std::vector<int> axes) : axes_(std::move(axes)), all_(false) {}

  bool all() const { return all_; }
  const std::vector<int>& list() const { return axes_; }

 private:
  std::vector<int> axes_;
  bool all_ = true;
};

namespace rules {

/// The axis, not negative. Throws TypeMismatch if a value of that rank has no such axis.
int checked_axis(int axis, int rank);
/// The axes, not negative and in ascending order. Throws TypeMismatch if one is outside or given twice.
Shape checked_axes(const Axes& axes, int rank);

}  // namespace rules
}  // namespace tapestry
