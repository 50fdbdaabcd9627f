#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/evaluate.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/softmax.hpp>

#include <algorithm>
#include <limits>

namespace tapestry {

void fill_batch(const ImageSet& set, std::int64_t first, const Tensor& mean, Tensor& batch) {
  const std::int64_t count = batch.shape()[0];
  const std::span<const float> center = mean.values<float>();
  const std::span<float> out = batch.mutable_values<float>();
  const std::size_t size = center.size();
  require(out.size() == size * std::size_t(count), "a batch of ", batch.type(), " can't hold ", count,
          " images of ", set.image_shape());
  parallel_for(count, [&](std::int64_t i) {
    const auto pixels = set.image(first + i);
    float* row = out.data() + std::size_t(i) * size;
    for (std::size_t k = 0; k < size; ++k) row[k] = float(pixels[k]) - center[k];
  });
}

Evaluator::Evaluator(const Model& model, const Tensor& mean, std::int64_t batch_size)
    : model_(model),
      mean_(mean),
      batch_size_(batch_size),
      scores_([&model](Var x) { return softmax(model.logits(cast(x, model.dtype()), Mode::evaluate), -1); }) {
  require(batch_size > 0, "an evaluation's batch size must be positive, not ", batch_size);
  require(mean.elements() == model.input_shape().elements(), model.name(), " takes images of ",
          model.input_shape(), ", the mean image is ", mean.shape());
}

void Evaluator::for_each_batch(const ImageSet& set,
                               const std::function<void(std::int64_t, const Tensor&)>& use) {
  for (std::int64_t first = 0; first < set.size(); first += batch_size_) {
    const std::int64_t count = std::min(batch_size_, set.size() - first);
    auto input = std::ranges::find_if(inputs_, [&](const Tensor& t) { return t.shape()[0] == count; });
    if (input == inputs_.end()) {
      Shape shape{count};
      for (const std::int64_t extent : model_.input_shape()) shape.push_back(extent);
      input = inputs_.insert(inputs_.end(), Tensor(DType::f32, shape));
    }
    fill_batch(set, first, mean_, *input);
    use(first, scores_(std::as_const(*input)));
  }
}

std::vector<std::int64_t> Evaluator::predictions(const ImageSet& set) {
  std::vector<std::int64_t> predicted(std::size_t(set.size()));
  for_each_batch(set, [&](std::int64_t first, const Tensor& scores) {
    const std::int64_t classes = model_.classes();
    for (std::int64_t i = 0; i < scores.shape()[0]; ++i) {
      std::int64_t best = 0;
      for (std::int64_t c = 1; c < classes; ++c) {
        if (scores.at(i * classes + c) > scores.at(i * classes + best)) best = c;
      }
      predicted[std::size_t(first + i)] = best;
    }
  });
  return predicted;
}

double Evaluator::accuracy(const ImageSet& set) {
  if (set.size() == 0) return std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::int64_t> predicted = predictions(set);
  std::int64_t right = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i) right += predicted[i] == set.label(std::int64_t(i));
  return double(right) / double(set.size());
}

ConfusionMatrix Evaluator::confusion(const ImageSet& set, std::vector<std::string> class_names) {
  ConfusionMatrix matrix(std::move(class_names));
  const std::vector<std::int64_t> predicted = predictions(set);
  for (std::size_t i = 0; i < predicted.size(); ++i) matrix.add(set.label(std::int64_t(i)), predicted[i]);
  return matrix;
}

Tensor Evaluator::probabilities(const ImageSet& set) {
  Tensor all(DType::f32, {set.size(), model_.classes()});
  const auto out = all.mutable_values<float>();
  for_each_batch(set, [&](std::int64_t first, const Tensor& scores) {
    const Tensor rows = scores.to(DType::f32);
    std::ranges::copy(rows.values<float>(), out.begin() + first * model_.classes());
  });
  return all;
}

}  // namespace tapestry
