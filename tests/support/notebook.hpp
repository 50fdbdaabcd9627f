#pragma once

#include <tapestry/core/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace tapestry::test {

/// The seed notebook's rel_error; infinite where there is a NaN or not the same number of elements.
inline double relative_error(const Tensor& x, const std::vector<double>& y) {
  if (x.elements() != std::int64_t(y.size())) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double a = x.at(std::int64_t(i)), b = y[i];
    const double error = std::abs(a - b) / std::max(1e-8, std::abs(a) + std::abs(b));
    worst = std::max(worst, std::isnan(error) ? std::numeric_limits<double>::infinity() : error);
  }
  return worst;
}

}  // namespace tapestry::test
