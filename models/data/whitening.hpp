// Filters that make what a convolution sees uncorrelated: the fixed first layer of fast CIFAR-10 nets (D.
// Page, "How to train your ResNet", 2019).
#pragma once

#include <tapestry/models/data/dataset.hpp>
#include <tapestry/models/data/pixels.hpp>

namespace tapestry {

struct WhiteningOptions {
  std::int64_t images = 5000;  // the first ones, or all if there are fewer
  std::int64_t patch = 2;      // side of a patch in pixels
  double epsilon = 5e-4;       // keeps directions without variance from being blown up
};

/// The eigenvectors of the covariance of all patches of scaled images, each over sqrt(eigenvalue + epsilon),
/// eigenvalues descending, the largest entry of each positive; then their negatives. f32 [patch, patch,
/// channels, 2 n] with n = patch * patch * channels. Sums are of whole numbers, so the same bits for any
/// number of threads. Throws if there are no images or no patches in them, and if the mean isn't the same for
/// all pixels of a channel.
Tensor whitening_filters(const ImageSet& set, const PixelScale& scale, const WhiteningOptions& options = {});

}  // namespace tapestry
