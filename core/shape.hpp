// Shapes: the extents of a tensor, outermost first, row-major, at most kMaxRank of them.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>

namespace tapestry {

inline constexpr int kMaxRank = 8;

/// A short list of integers held in place: extents, strides, axes, permutations.
class Shape {
 public:
  using value_type = std::int64_t;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> values) : Shape(std::span(values.begin(), values.size())) {}
  explicit Shape(std::span<const std::int64_t> values);
  /// `rank` times `value`.
  static Shape filled(int rank, std::int64_t value);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  std::size_t size() const { return std::size_t(rank_); }
  /// The product of the extents, 1 for a scalar. Throws if it exceeds 2^48.
  std::int64_t elements() const;

  std::int64_t operator[](int axis) const { return values_[std::size_t(axis)]; }
  std::int64_t& operator[](int axis) { return values_[std::size_t(axis)]; }
  std::int64_t back() const { return values_[std::size_t(rank_ - 1)]; }
  const std::int64_t* begin() const { return values_.data(); }
  const std::int64_t* end() const { return values_.data() + rank_; }
  void push_back(std::int64_t value);

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, kMaxRank> values_{};
  int rank_ = 0;
};

/// "[100, 3072]"; "[]" for a scalar.
std::string to_string(const Shape& shape);
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// Row-major strides in elements, never 0: an empty extent counts as 1.
Shape strides_of(const Shape& shape);

/// The NumPy rule: align at the last axis; extents must be equal or 1. Nothing if they are not.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);

/// An axis counted from the end if negative, or nothing if outside [-rank, rank).
std::optional<int> normalize_axis(int axis, int rank);

}  // namespace tapestry
