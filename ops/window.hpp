// How a window moves over the rows and columns of images [n, h, w, c]: what convolutions and pools share.
#pragma once

#include <tapestry/core/attrs.hpp>

#include <array>

namespace tapestry {

/// Something of the rows and of the columns of an image; one number is for both.
struct Extent2d {
  std::int64_t h = 0, w = 0;

  constexpr Extent2d() = default;
  constexpr Extent2d(std::int64_t both) : h(both), w(both) {}
  constexpr Extent2d(std::int64_t rows, std::int64_t columns) : h(rows), w(columns) {}
  friend constexpr bool operator==(const Extent2d&, const Extent2d&) = default;
};

/// What is imagined around an image before a window moves over it: a number of rows and columns on each side;
/// `valid`, which is none; or `same`, as many as it takes for ceil(extent / stride) results, the odd one
/// below and to the right.
class Padding {
 public:
  constexpr Padding(std::int64_t all = 0) : lo_(all), hi_(all) {}
  constexpr Padding(std::int64_t rows, std::int64_t columns) : lo_(rows, columns), hi_(rows, columns) {}
  constexpr Padding(Extent2d before, Extent2d after) : lo_(before), hi_(after) {}

  static const Padding same, valid;
  friend constexpr bool operator==(const Padding&, const Padding&) = default;

 private:
  friend struct Window2d;
  Extent2d lo_, hi_;
  bool same_ = false;
};

inline constexpr Padding Padding::valid;
inline constexpr Padding Padding::same = [] {
  Padding padding;
  padding.same_ = true;
  return padding;
}();

/// A window of size.h x size.w elements, `dilation` apart, that starts `lo` outside of the image and moves by
/// `stride` as long as it ends no further than `hi` outside.
struct Window2d {
  Extent2d size, stride = 1, dilation = 1, lo, hi;

  /// For images of this extent. Throws TypeMismatch if a stride, dilation or extent is less than 1, or a
  /// padding negative.
  static Window2d over(Extent2d image, Extent2d size, Extent2d stride, const Padding& padding,
                       Extent2d dilation = 1);
  /// How many places it has on an image, 0 or more in each direction. Throws TypeMismatch if the window is
  /// larger than the image with its padding.
  Extent2d places(Extent2d image) const;

  void fields(FieldVisitor& f) const;
  friend bool operator==(const Window2d&, const Window2d&) = default;
};

}  // namespace tapestry
