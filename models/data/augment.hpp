// Augmentation: each epoch shows an image placed anew. Where, follows from the seed, the epoch and the
// image's number alone: neither threads nor batches matter, and training resumes exactly within an epoch.
#pragma once

#include <tapestry/models/data/pixels.hpp>

namespace tapestry {

enum class Flip : std::uint8_t {
  none,
  random,       // each epoch each image, or its mirror image
  alternating,  // random in epoch 0, from then on the other one each epoch (K. Jordan, "94% on CIFAR-10 in
                // 3.29 seconds on a single GPU", arXiv 2404.00498)
};

struct Augmentation {
  Flip flip = Flip::none;
  /// Moves the image by up to this many pixels both ways, each move equally likely: the same as a crop of its
  /// size from the image with so wide a border.
  std::int64_t translate = 0;
  Border border = Border::reflect;
  /// Sets a square with sides of this length to 0, its centre on any pixel, parts of it perhaps outside (T.
  /// DeVries, G. Taylor, "Improved regularization of convolutional neural networks with cutout", arXiv
  /// 1708.04552).
  std::int64_t cutout = 0;

  friend bool operator==(const Augmentation&, const Augmentation&) = default;
};

/// Throws if a size is negative or absurd.
void check_augmentation(const Augmentation& augmentation);

/// Where `epoch` shows image number `image` of a set of images [height, width, channels].
ImagePlacement place(const Augmentation& augmentation, const Shape& shape, std::uint64_t seed,
                     std::int64_t epoch, std::int64_t image);

}  // namespace tapestry
