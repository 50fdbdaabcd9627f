#include <tapestry/models/data/pixels.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace tapestry {
namespace {

constexpr std::int64_t kBuffer = 384;  // bytes: four rows of CIFAR-10

/// Reflected at 0 and n - 1 as often as needed.
std::int64_t reflect(std::int64_t i, std::int64_t n) {
  if (i >= 0 && i < n) return i;
  if (n == 1) return 0;
  const std::int64_t period = 2 * (n - 1);
  i = ((i % period) + period) % period;
  return std::min(i, period - i);
}

/// Of the pixel at i after a move by `by`; -1 for none.
std::int64_t source(std::int64_t i, std::int64_t by, std::int64_t n, Border border) {
  if (border == Border::reflect) return reflect(i - by, n);
  return i - by >= 0 && i - by < n ? i - by : -1;
}

void scale_row(const std::uint8_t* bytes, const float* mean, const float* scale, float* out, std::int64_t n) {
  for (std::int64_t k = 0; k < n; ++k) out[k] = (float(bytes[k]) - mean[k]) * scale[k];
}

/// The bytes of pixels in an order of their own.
void gather(const std::uint8_t* row, std::span<const std::int32_t> columns, std::int64_t channels,
            std::uint8_t* out) {
  if (channels == 3) {  // a constant, so that the inner loop goes away
    for (const std::int32_t column : columns) out = std::copy_n(row + column, 3, out);
  } else {
    for (const std::int32_t column : columns) out = std::copy_n(row + column, channels, out);
  }
}

}  // namespace

PixelScale normalized_channels(const Shape& image, std::span<const double> mean,
                               std::span<const double> deviation) {
  require(image.rank() == 3, "images are [height, width, channels], not ", image);
  const auto channels = std::size_t(image[2]);
  require(mean.size() == channels && deviation.size() == channels, "images ", image, " have ", channels,
          " channels, but there are ", mean.size(), " means and ", deviation.size(), " deviations");
  PixelScale out;
  out.mean = Tensor(DType::f32, image);
  out.scale = Tensor(DType::f32, {image[2]});
  const auto means = out.mean.mutable_values<float>();
  for (std::size_t i = 0; i < means.size(); ++i) means[i] = float(255 * mean[i % channels]);
  for (std::size_t c = 0; c < channels; ++c) {
    require(deviation[c] > 0, "the deviation of channel ", c, " must be positive, not ", deviation[c]);
    out.scale.mutable_values<float>()[c] = float(1 / (255 * deviation[c]));
  }
  return out;
}

PixelMap::PixelMap(const Shape& image, const ImagePlacement& placement) : channels_(image[2]) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  require(image.elements() <= kMost, "images ", image, " are too large to be placed");
  rows_.resize(std::size_t(image[0]));
  columns_.resize(std::size_t(image[1]));
  set(placement);
}

void PixelMap::set(const ImagePlacement& placement) {
  const auto height = std::int64_t(rows_.size()), width = std::int64_t(columns_.size());
  for (std::int64_t y = 0; y < height; ++y) {
    rows_[std::size_t(y)] = std::int32_t(source(y, placement.dy, height, placement.border));
  }
  const bool zero = placement.border == Border::zero;
  left_ = zero ? std::clamp<std::int64_t>(placement.dx, 0, width) : 0;
  right_ = zero ? std::clamp<std::int64_t>(width + placement.dx, 0, width) : width;
  for (std::int64_t x = left_; x < right_; ++x) {
    const std::int64_t from = source(x, placement.dx, width, placement.border);
    columns_[std::size_t(x)] = std::int32_t((placement.flip ? width - 1 - from : from) * channels_);
  }
  const Box& cut = placement.cut;
  cut_ = {cut.top, std::clamp<std::int64_t>(cut.left, 0, width), cut.bottom,
          std::clamp<std::int64_t>(cut.right, 0, width)};
}

PixelWriter::PixelWriter(const Shape& image, PixelScale scale) : shape_(image), mean_(std::move(scale.mean)) {
  require(image.rank() == 3 && image[2] <= kBuffer, "images are [height, width, channels] with at most ",
          kBuffer, " channels, not ", image);
  if (mean_.elements() == 0) mean_ = Tensor(DType::f32, image);
  require(mean_.type() == Type{DType::f32, image}, "the mean image is ", mean_.type(),
          ", but the images are ", image);
  scale_.resize(std::size_t(image[1] * image[2]), 1.0f);
  if (scale.scale.elements() == 0) return;
  require(scale.scale.type() == Type{DType::f32, {image[2]}}, "pixels are scaled by ", scale.scale.type(),
          ", but the images are ", image);
  const std::span<const float> factors = scale.scale.values<float>();
  for (std::size_t k = 0; k < scale_.size(); ++k) scale_[k] = factors[k % factors.size()];
}

void PixelWriter::write(std::span<const std::uint8_t> image, float* out) const {
  const auto row = std::int64_t(scale_.size());
  const float* mean = mean_.values<float>().data();
  for (std::int64_t y = 0; y < shape_[0]; ++y) {
    scale_row(image.data() + y * row, mean + y * row, scale_.data(), out + y * row, row);
  }
}

void PixelWriter::write(std::span<const std::uint8_t> image, const PixelMap& map, float* out) const {
  // Bytes are brought into order a few hundred at a time, then scaled by SIMD: together one pass over memory.
  std::array<std::uint8_t, kBuffer> buffer;
  const std::int64_t channels = shape_[2], row = std::int64_t(scale_.size());
  const std::int64_t block = kBuffer / std::max<std::int64_t>(channels, 1);
  const std::span<const std::int32_t> columns = map.columns_;
  const float* mean = mean_.values<float>().data();
  const Box& cut = map.cut_;
  for (std::int64_t y = 0; y < shape_[0]; ++y, out += row, mean += row) {
    const std::int64_t from = map.rows_[std::size_t(y)];
    if (from < 0) {
      std::fill_n(out, row, 0.0f);
      continue;
    }
    for (std::int64_t x = map.left_; x < map.right_; x += block) {
      const std::int64_t count = std::min(block, map.right_ - x), at = x * channels;
      gather(image.data() + from * row, columns.subspan(std::size_t(x), std::size_t(count)), channels,
             buffer.data());
      scale_row(buffer.data(), mean + at, scale_.data() + at, out + at, count * channels);
    }
    std::fill(out, out + map.left_ * channels, 0.0f);
    std::fill(out + map.right_ * channels, out + row, 0.0f);
    if (y >= cut.top && y < cut.bottom && cut.left < cut.right) {
      std::fill(out + cut.left * channels, out + cut.right * channels, 0.0f);
    }
  }
}

}  // namespace tapestry
