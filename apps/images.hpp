// How images come to the model: --pixels, --augment and --tta.
#pragma once

#include "config.hpp"

#include <tapestry/models/data/augment.hpp>
#include <tapestry/models/evaluate.hpp>

#include <string>

namespace tapestry::app {

/// What --pixels names; `mean` is the mean training image. Throws UsageError.
PixelScale make_pixels(const std::string& name, const Tensor& mean);
/// From "none", or a list as "alternating,translate=2,cutout=8". Throws UsageError.
Augmentation make_augmentation(const std::string& list);
/// From "none", "mirror" or "translate". Throws UsageError.
Views make_views(const std::string& name);

/// How a checkpoint's metadata keeps --pixels and --augment.
inline constexpr std::string_view kPixels = "pixels";
inline constexpr std::string_view kAugment = "augment";

}  // namespace tapestry::app
