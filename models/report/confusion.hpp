// Which classes a classifier takes for which.
#pragma once

#include <tapestry/core/error.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace tapestry {

/// counts[t * classes + p] examples of class t were predicted to be p.
struct ConfusionMatrix {
  std::vector<std::string> classes;
  std::vector<std::int64_t> counts;

  explicit ConfusionMatrix(std::vector<std::string> names)
      : classes(std::move(names)), counts(classes.size() * classes.size()) {}

  void add(std::int64_t truth, std::int64_t predicted, std::int64_t examples = 1) {
    const auto n = std::int64_t(classes.size());
    require(truth >= 0 && truth < n && predicted >= 0 && predicted < n, "confusion matrix: class ", truth,
            " predicted as ", predicted, ", but there are ", n, " classes");
    counts[std::size_t(truth * n + predicted)] += examples;
  }
  std::int64_t at(std::size_t truth, std::size_t predicted) const {
    return counts[truth * classes.size() + predicted];
  }
  std::int64_t row_total(std::size_t truth) const {
    std::int64_t sum = 0;
    for (std::size_t p = 0; p < classes.size(); ++p) sum += at(truth, p);
    return sum;
  }
  std::int64_t column_total(std::size_t predicted) const {
    std::int64_t sum = 0;
    for (std::size_t t = 0; t < classes.size(); ++t) sum += at(t, predicted);
    return sum;
  }
  std::int64_t total() const {
    std::int64_t sum = 0;
    for (const std::int64_t n : counts) sum += n;
    return sum;
  }
  /// Fractions of 1; NaN where there are no examples.
  double recall(std::size_t c) const { return double(at(c, c)) / double(row_total(c)); }
  double precision(std::size_t c) const { return double(at(c, c)) / double(column_total(c)); }
  double accuracy() const {
    std::int64_t right = 0;
    for (std::size_t c = 0; c < classes.size(); ++c) right += at(c, c);
    return double(right) / double(total());
  }
};

}  // namespace tapestry
