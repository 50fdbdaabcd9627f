// From the bytes of an image to the floats of a batch: where each pixel comes from, and what its byte
// becomes. One pass an image.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace tapestry {

/// A byte becomes (byte - mean) * scale. With a mean image and no scale that is the notebook's way.
struct PixelScale {
  Tensor mean;   // f32 [height, width, channels], 0 to 255; without elements: 0
  Tensor scale;  // f32 [channels]; without elements: 1

  PixelScale() = default;
  /// Minus the mean image.
  PixelScale(Tensor mean_image) : mean(std::move(mean_image)) {}
};

/// (byte / 255 - mean) / deviation, both of a channel: images of shape [height, width, channels] scaled to
/// [0, 1], then normalised. Throws if there isn't one of each for every channel, or if a deviation isn't
/// positive.
PixelScale normalized_channels(const Shape& image, std::span<const double> mean,
                               std::span<const double> deviation);

/// What lies outside an image: its reflection, without its edge once more (cb|abc|ba), or 0 in the batch,
/// which is the mean.
enum class Border : std::uint8_t { reflect, zero };

/// Pixels [top, bottom) x [left, right).
struct Box {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
  friend bool operator==(const Box&, const Box&) = default;
};

/// How an image is put into a batch: mirrored left to right, then moved, then a box of it set to 0.
struct ImagePlacement {
  bool flip = false;
  std::int64_t dy = 0, dx = 0;  // pixels down and to the right
  Border border = Border::reflect;
  Box cut{};  // may reach beyond the image; empty by default
  friend bool operator==(const ImagePlacement&, const ImagePlacement&) = default;
};

/// A placement, worked out for images of one shape: the source of each row and column.
class PixelMap {
 public:
  explicit PixelMap(const Shape& image, const ImagePlacement& placement = {});
  /// Another placement; allocates nothing.
  void set(const ImagePlacement& placement);

 private:
  friend class PixelWriter;
  std::int64_t channels_;
  std::vector<std::int32_t> rows_;     // -1: none
  std::vector<std::int32_t> columns_;  // in bytes
  std::int64_t left_ = 0, right_ = 0;  // columns outside [left, right) have no source
  Box cut_;
};

/// Writes images of one shape as floats. May be used by several threads at once.
class PixelWriter {
 public:
  /// Throws if mean and scale don't fit images [height, width, channels], or if these have more than 384
  /// channels.
  PixelWriter(const Shape& image, PixelScale scale);

  const Shape& image_shape() const { return shape_; }
  /// Both have height * width * channels elements.
  void write(std::span<const std::uint8_t> image, float* out) const;
  void write(std::span<const std::uint8_t> image, const PixelMap& map, float* out) const;

 private:
  Shape shape_;
  Tensor mean_;
  std::vector<float> scale_;  // of a row: the channels' again and again
};

}  // namespace tapestry
