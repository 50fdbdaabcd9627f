// How well a model does: accuracies, confusion, class probabilities.
#pragma once

#include <tapestry/core/function.hpp>
#include <tapestry/models/data/dataset.hpp>
#include <tapestry/models/model.hpp>
#include <tapestry/models/report/confusion.hpp>

#include <span>
#include <string>
#include <vector>

namespace tapestry {

/// Runs a model in evaluation mode over images, in batches, with the mean image subtracted. Compiled once.
class Evaluator {
 public:
  /// `mean` has the shape of an image. Both outlive the evaluator.
  Evaluator(const Model& model, const Tensor& mean, std::int64_t batch_size = 1000);

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

  const Model& model_;
  Tensor mean_;
  std::int64_t batch_size_;
  Function scores_;
  std::vector<Tensor> inputs_;  // a batch of each size met
};

/// Images [first, first + count) minus the mean, into `batch`, f32 [count, ...].
void fill_batch(const ImageSet& set, std::int64_t first, const Tensor& mean, Tensor& batch);

}  // namespace tapestry
