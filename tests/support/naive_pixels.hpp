// A placed image, pixel by pixel, in the order in which it is described: mirrored, moved, cut.
#pragma once

#include <tapestry/models/data/pixels.hpp>

#include <optional>
#include <vector>

namespace tapestry::test {

/// What np.pad(mode="reflect") has at position i of n: a walk that turns round at the ends.
inline std::int64_t reflected(std::int64_t i, std::int64_t n) {
  if (n == 1) return 0;
  while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
  return i;
}

inline std::vector<float> naive_placed(const Shape& shape, std::span<const std::uint8_t> image,
                                       const ImagePlacement& placement, const PixelScale& scale) {
  const std::int64_t height = shape[0], width = shape[1], channels = shape[2];
  const auto mirrored = [&](std::int64_t y, std::int64_t x, std::int64_t c) {
    const std::int64_t column = placement.flip ? width - 1 - x : x;
    return image[std::size_t((y * width + column) * channels + c)];
  };
  const auto moved = [&](std::int64_t y, std::int64_t x, std::int64_t c) -> std::optional<std::uint8_t> {
    const std::int64_t from_y = y - placement.dy, from_x = x - placement.dx;
    if (placement.border == Border::reflect) {
      return mirrored(reflected(from_y, height), reflected(from_x, width), c);
    }
    if (from_y < 0 || from_y >= height || from_x < 0 || from_x >= width) return std::nullopt;
    return mirrored(from_y, from_x, c);
  };
  std::vector<float> out;
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      const Box& cut = placement.cut;
      const bool is_cut = y >= cut.top && y < cut.bottom && x >= cut.left && x < cut.right;
      for (std::int64_t c = 0; c < channels; ++c) {
        const auto byte = moved(y, x, c);
        float mean = 0, factor = 1;
        if (scale.mean.elements() > 0) mean = float(scale.mean.at((y * width + x) * channels + c));
        if (scale.scale.elements() > 0) factor = float(scale.scale.at(c));
        out.push_back(byte && !is_cut ? (float(*byte) - mean) * factor : 0.0f);
      }
    }
  }
  return out;
}

}  // namespace tapestry::test
