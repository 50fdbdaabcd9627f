// Labelled images as they are stored: bytes. Batches make floats of them.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <cstdint>
#include <span>

namespace tapestry {

/// n images of one size, u8 [n, height, width, channels], each with its class, i64 [n]. A value: copies and
/// slices share the elements.
class ImageSet {
 public:
  ImageSet() = default;
  /// Throws if the types or the numbers of images and labels don't fit.
  ImageSet(Tensor images, Tensor labels);

  std::int64_t size() const { return size_; }
  /// [height, width, channels]
  const Shape& image_shape() const { return image_shape_; }
  /// Bytes in one image, which is also the number of its features.
  std::int64_t image_bytes() const { return image_bytes_; }

  /// Rows, then columns, then channels.
  std::span<const std::uint8_t> image(std::int64_t i) const;
  std::int64_t label(std::int64_t i) const { return labels()[std::size_t(i)]; }
  /// All images back to back.
  std::span<const std::uint8_t> pixels() const;
  std::span<const std::int64_t> labels() const;

  /// Images [first, first + count). Throws if there are not so many.
  ImageSet slice(std::int64_t first, std::int64_t count) const;

 private:
  Tensor images_{DType::u8, {0, 0, 0, 0}};
  Tensor labels_{DType::i64, {0}};
  Shape image_shape_{0, 0, 0};
  std::int64_t image_bytes_ = 0;
  std::int64_t first_ = 0, size_ = 0;
};

/// The mean of all images, f32 [height, width, channels], each element rounded once from the exact quotient.
/// Throws if there are no images.
Tensor mean_image(const ImageSet& set);

}  // namespace tapestry
