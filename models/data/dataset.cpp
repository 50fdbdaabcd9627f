#include <tapestry/models/data/dataset.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace tapestry {

ImageSet::ImageSet(Tensor images, Tensor labels) : images_(std::move(images)), labels_(std::move(labels)) {
  require(images_.dtype() == DType::u8 && images_.rank() == 4,
          "an image set needs images of u8 [n, height, width, channels], not ", images_.type());
  size_ = images_.shape()[0];
  require(labels_.type() == Type{DType::i64, {size_}}, "an image set of ", size_,
          " images needs labels of i64 [", size_, "], not ", labels_.type());
  image_shape_ = Shape(std::span(images_.shape().begin() + 1, 3));
  image_bytes_ = image_shape_.elements();
}

std::span<const std::uint8_t> ImageSet::pixels() const {
  return images_.values<std::uint8_t>().subspan(std::size_t(first_ * image_bytes_),
                                                std::size_t(size_ * image_bytes_));
}

std::span<const std::int64_t> ImageSet::labels() const {
  return labels_.values<std::int64_t>().subspan(std::size_t(first_), std::size_t(size_));
}

std::span<const std::uint8_t> ImageSet::image(std::int64_t i) const {
  return pixels().subspan(std::size_t(i * image_bytes_), std::size_t(image_bytes_));
}

ImageSet ImageSet::slice(std::int64_t first, std::int64_t count) const {
  require(first >= 0 && count >= 0 && first <= size_ && count <= size_ - first, "images ", first, " to ",
          first + count, " were asked for, but the set has ", size_);
  ImageSet out = *this;
  out.first_ += first;
  out.size_ = count;
  return out;
}

Tensor mean_image(const ImageSet& set) {
  require(set.size() > 0, "the mean of no images was asked for");
  // Sums of at most 257 bytes fit 16 bits, which makes the inner loop twice as fast as one on wider words.
  constexpr std::int64_t kBlock = 257;
  const std::size_t features = std::size_t(set.image_bytes());
  std::vector<std::uint64_t> sums(features);
  std::vector<std::uint16_t> block(features);
  for (std::int64_t begin = 0; begin < set.size(); begin += kBlock) {
    std::ranges::fill(block, std::uint16_t{0});
    for (std::int64_t i = begin; i < std::min(begin + kBlock, set.size()); ++i) {
      const std::uint8_t* image = set.image(i).data();
      for (std::size_t k = 0; k < features; ++k) block[k] = std::uint16_t(block[k] + image[k]);
    }
    for (std::size_t k = 0; k < features; ++k) sums[k] += block[k];
  }
  Tensor mean(DType::f32, set.image_shape());
  std::ranges::transform(sums, mean.mutable_values<float>().begin(),
                         [&](std::uint64_t sum) { return float(double(sum) / double(set.size())); });
  return mean;
}

}  // namespace tapestry
