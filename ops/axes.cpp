#include <tapestry/core/op.hpp>
#include <tapestry/ops/axes.hpp>

namespace tapestry::rules {

int checked_axis(int axis, int rank) {
  const auto at = normalize_axis(axis, rank);
  require_type(at.has_value(), "there is no axis ", axis);
  return *at;
}

Shape checked_axes(const Axes& axes, int rank) {
  std::vector<bool> chosen(std::size_t(rank), axes.all());
  for (const int axis : axes.list()) {
    const auto at = std::size_t(checked_axis(axis, rank));
    require_type(!chosen[at], "axis ", axis, " is given twice");
    chosen[at] = true;
  }
  Shape sorted;
  for (int i = 0; i < rank; ++i) {
    if (chosen[std::size_t(i)]) sorted.push_back(i);
  }
  return sorted;
}

}  // namespace tapestry::rules
