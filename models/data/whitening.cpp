#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/data/symmetric_eigen.hpp>
#include <tapestry/models/data/whitening.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

namespace tapestry {
namespace {

constexpr std::int64_t kLargestSide = 16'384;  // so that a row's sum of squared bytes fits 32 bits

/// Sums over patches of their n bytes, and of all products of two.
struct Sums {
  explicit Sums(std::size_t n) : first(n), second(n * n) {}
  std::vector<std::int64_t> first, second;
};

/// Channel after channel, so that a row of one is contiguous.
void to_planes(std::span<const std::uint8_t> image, std::int64_t channels, std::span<std::int16_t> planes) {
  const std::size_t count = std::size_t(channels), pixels = image.size() / count;
  for (std::size_t c = 0; c < count; ++c) {
    for (std::size_t i = 0; i < pixels; ++i) planes[c * pixels + i] = image[i * count + c];
  }
}

std::int64_t dot(const std::int16_t* a, const std::int16_t* b, std::int64_t n) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += std::int32_t(a[i]) * b[i];
  return sum;
}

void add_patches(const std::int16_t* planes, const Shape& image, std::int64_t patch, Sums& sums) {
  const std::int64_t height = image[0], width = image[1], channels = image[2], across = width - patch + 1;
  std::vector<const std::int16_t*> rows(sums.first.size());  // of each of a patch's bytes, for all patches
  for (std::int64_t y = 0; y + patch <= height; ++y) {
    std::size_t n = 0;
    for (std::int64_t dy = 0; dy < patch; ++dy) {
      for (std::int64_t dx = 0; dx < patch; ++dx) {
        for (std::int64_t c = 0; c < channels; ++c) rows[n++] = planes + (c * height + y + dy) * width + dx;
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      for (std::int64_t x = 0; x < across; ++x) sums.first[i] += rows[i][x];
      for (std::size_t j = 0; j <= i; ++j) sums.second[i * n + j] += dot(rows[i], rows[j], across);
    }
  }
}

Sums sum_patches(const ImageSet& set, std::int64_t patch, std::size_t n) {
  const Chunks chunks(set.size(), 100);
  std::vector<Sums> parts(std::size_t(chunks.count()), Sums(n));
  parallel_for(chunks.count(), [&](std::int64_t chunk) {
    std::vector<std::int16_t> planes(std::size_t(set.image_bytes()));
    for (std::int64_t i = chunks.begin(chunk); i < chunks.end(chunk); ++i) {
      to_planes(set.image(i), set.image_shape()[2], planes);
      add_patches(planes.data(), set.image_shape(), patch, parts[std::size_t(chunk)]);
    }
  });
  Sums total(n);
  for (const Sums& part : parts) {
    std::ranges::transform(part.first, total.first, total.first.begin(), std::plus());
    std::ranges::transform(part.second, total.second, total.second.begin(), std::plus());
  }
  return total;
}

/// Of what the scale makes of the bytes; a mean doesn't matter, as long as it is that of the channel.
std::vector<double> covariance(const Sums& sums, double patches, const PixelScale& scale,
                               std::int64_t channels) {
  const std::size_t n = sums.first.size();
  const auto factor = [&](std::size_t i) {
    return scale.scale.elements() == 0 ? 1 : scale.scale.at(std::int64_t(i) % channels);
  };
  std::vector<double> out(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const double mean_product = double(sums.first[i]) / patches * (double(sums.first[j]) / patches);
      const double cov = double(sums.second[i * n + j]) / patches - mean_product;
      out[i * n + j] = out[j * n + i] = cov * factor(i) * factor(j);
    }
  }
  return out;
}

}  // namespace

Tensor whitening_filters(const ImageSet& set, const PixelScale& scale, const WhiteningOptions& options) {
  const Shape& image = set.image_shape();
  const std::int64_t patch = options.patch, channels = image[2];
  require(set.size() > 0 && options.images > 0, "whitening filters of no images were asked for");
  require(patch > 0 && patch <= image[0] && patch <= image[1] && channels > 0, "images ", image,
          " have no patches of ", patch, " x ", patch);
  require(std::max(image[0], image[1]) <= kLargestSide, "images ", image, " are too large to be whitened");
  require(options.epsilon > 0, "whitening needs a positive epsilon, not ", options.epsilon);
  PixelWriter(image, scale);  // throws if it doesn't fit
  for (std::int64_t i = channels; i < scale.mean.elements(); ++i) {
    require(scale.mean.at(i) == scale.mean.at(i - channels),
            "whitening needs one mean for all pixels of a channel, not a mean image");
  }

  const auto n = std::size_t(patch * patch * channels);
  const ImageSet sample = set.slice(0, std::min(options.images, set.size()));
  const double patches = double(sample.size() * (image[0] - patch + 1) * (image[1] - patch + 1));
  const SymmetricEigen eigen =
      symmetric_eigen(covariance(sum_patches(sample, patch, n), patches, scale, channels), n);

  Tensor filters(DType::f32, {patch, patch, channels, 2 * std::int64_t(n)});
  const auto out = filters.mutable_values<float>();
  for (std::size_t k = 0; k < n; ++k) {
    // Rounding may leave an eigenvalue of 0 a little below.
    const double length = 1 / std::sqrt(std::max(eigen.values[k], 0.0) + options.epsilon);
    for (std::size_t i = 0; i < n; ++i) {
      out[i * 2 * n + k] = float(eigen.vectors[k * n + i] * length);
      out[i * 2 * n + n + k] = -out[i * 2 * n + k];
    }
  }
  return filters;
}

}  // namespace tapestry
