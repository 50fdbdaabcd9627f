// Memory asked for before it is read.
#pragma once

#include <cstdint>

namespace tapestry::kernels {

/// Asks for four rows of so many columns, one after the other, while four others are worked on, a vector of
/// each at a time. Left to itself memory delivers rows that are read side by side more slowly.
template <class T>
class RowsAhead {
 public:
  /// Of none if `row` is null.
  RowsAhead(const T* row, std::int64_t stride, std::int64_t columns, std::int64_t lanes)
      : row_(row), stride_(stride), columns_(columns), step_(4 * lanes) {}

  void fetch() {
    if (row_ == nullptr) return;
    for (std::int64_t i = 0; i < step_; i += std::int64_t(64 / sizeof(T))) __builtin_prefetch(row_ + at_ + i);
    at_ += step_;
    if (at_ < columns_) return;
    at_ = 0;
    row_ += stride_;
  }

 private:
  const T* row_;
  std::int64_t stride_, columns_, step_, at_ = 0;
};

}  // namespace tapestry::kernels
