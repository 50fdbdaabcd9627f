// How well a model does: accuracies, confusion, class probabilities.
#pragma once

#include <tapestry/core/function.hpp>
#include <tapestry/models/data/dataset.hpp>
#include <tapestry/models/data/pixels.hpp>
#include <tapestry/models/model.hpp>
#include <tapestry/models/report/confusion.hpp>

#include <span>
#include <string>
#include <vector>

namespace tapestry {

/// Test-time augmentation: what a model sees of each image. Its scores are averaged before the softmax.
enum class Views : std::uint8_t {
  single,     // the image
  mirror,     // and its mirror image
  translate,  // both, of weight 1/4 each; and both moved by a pixel down right and up left, of weight 1/8
              // each
};

struct WeightedView {
  ImagePlacement placement;
  float weight = 1;
};
std::vector<WeightedView> weighted_views(Views views);

struct EvaluatorOptions {
  /// How many images the model sees at once; several views of an image count as so many.
  std::int64_t batch_size = 1000;
  Views views = Views::single;
  Precision precision = Precision::f32;
};

/// Runs a model in evaluation mode over images, in batches. Compiled once.
class Evaluator {
 public:
  /// The model outlives the evaluator. `scale` may be a mean image to subtract.
  Evaluator(const Model& model, PixelScale scale, const EvaluatorOptions& options = {});

  /// The fraction of images whose highest score is that of their label; NaN if there are none.
  double accuracy(const ImageSet& set);
  /// The predicted class of each image.
  std::vector<std::int64_t> predictions(const ImageSet& set);
  ConfusionMatrix confusion(const ImageSet& set, std::vector<std::string> class_names);
  /// Softmax of the scores, f32 [n, classes].
  Tensor probabilities(const ImageSet& set);

  /// Watches the program of each batch size as "evaluation"; null ends that.
  void profile(Profiler* profiler) { scores_.profile(profiler, "evaluation"); }

 private:
  /// Calls `use` with the index of a batch's first image and its scores, softmaxed, [b, classes].
  void for_each_batch(const ImageSet& set, const std::function<void(std::int64_t, const Tensor&)>& use);

  /// Images [first, first + b) in all views, the first view of each before the second.
  void fill(const ImageSet& set, std::int64_t first, Tensor& input);

  const Model& model_;
  PixelScale scale_;
  EvaluatorOptions options_;
  std::vector<WeightedView> views_;
  Function scores_;
  std::vector<Tensor> inputs_;  // a batch of each size met
};

/// Which classes are taken for which, by probabilities [n, classes] that are known already.
ConfusionMatrix confusion(const Tensor& probabilities, std::span<const std::int64_t> labels,
                          std::vector<std::string> class_names);

struct Mistake {
  std::int64_t image = 0;  // its index
  std::int64_t label = 0, predicted = 0;
  double probability = 0;  // that it is of the predicted class
};
/// Of the images whose most probable class, by [n, classes], isn't that of their label the `most` about which
/// the model is surest, these first, and of those that are alike the one of the lower index.
std::vector<Mistake> worst_mistakes(const Tensor& probabilities, std::span<const std::int64_t> labels,
                                    std::size_t most);

}  // namespace tapestry
