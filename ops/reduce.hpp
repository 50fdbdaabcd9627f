// Reductions over any axes.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

/// Which axes to reduce, negative ones counted from the end; all of them by default.
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

/// With keep_dims the reduced axes stay, of extent 1. The sum of nothing is 0.
Var sum(const Operand& x, const Axes& axes = {}, bool keep_dims = false);
/// Sums x over the axes along which `shape` would be broadcast to it.
Var sum_to(const Operand& x, const Shape& shape);

void register_reduce(Registry& registry);

}  // namespace tapestry
