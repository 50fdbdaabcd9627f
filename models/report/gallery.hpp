// Pictures for a report: what the first layer looks for, and images that the model is wrong about.
//
//   Evaluator evaluator(model, scale);
//   const Tensor probabilities = evaluator.probabilities(split.test_all);
//   for (const Gallery& g : galleries(model, split.test_all, probabilities, split.class_names))
//     report.section(g.title).gallery(g);
#pragma once

#include <tapestry/core/state.hpp>
#include <tapestry/models/evaluate.hpp>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tapestry {

struct Picture {
  Tensor pixels;                          // u8 [height, width, 3]
  std::string description;                // read out instead of it, and its tooltip
  std::string caption = {}, remark = {};  // under it
};

/// Small pictures beside each other.
struct Gallery {
  std::string title = {};
  std::string caption = {};  // of all of them
  std::vector<Picture> pictures = {};
  int width = 64;  // of a picture on the page, in CSS pixels; its own pixels stay hard squares
};

/// A filter [height, width, 3] as a picture: its least value becomes 0 and its greatest 255, over all three
/// colours. One that is the same everywhere is grey, and so are values that are not finite.
Tensor filter_picture(const Tensor& filter);

/// The first State that meets colours, as the model keeps it: the filters of a convolution [height, width, 3,
/// filters], or the weights [height * width * 3, units] that meet whole images of `image` [height, width, 3];
/// of more than `most` those with the largest norms. None if there is no such State.
std::optional<Gallery> first_layer(const StateDict& state, const Shape& image, std::int64_t most = 100);

/// The images with what they are, what they were taken for and how surely.
Gallery mistakes_gallery(const ImageSet& set, std::span<const Mistake> mistakes,
                         std::span<const std::string> class_names);

/// What the pages of a trained model show of it; `probabilities` are its own of the images of `set`.
std::vector<Gallery> galleries(const Model& model, const ImageSet& set, const Tensor& probabilities,
                               std::span<const std::string> class_names);

}  // namespace tapestry
