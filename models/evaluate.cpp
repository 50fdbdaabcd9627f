#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/evaluate.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/softmax.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tapestry {

namespace {

/// [views * b, classes] -> [b, classes], the views' weighted sum.
Var combine(Var logits, std::span<const WeightedView> views) {
  const auto count = std::int64_t(views.size());
  std::vector<float> weights;
  for (const WeightedView& view : views) weights.push_back(view.weight);
  const Tensor factors = Tensor::from(weights, {count, 1, 1}).to(logits.type().dtype);
  const Shape shape{count, logits.shape()[0] / count, logits.shape()[1]};
  return sum(reshape(logits, shape) * logits.tape().constant(factors), {0});
}

/// The class of the highest score in a row of [n, classes], the first of several.
std::int64_t highest(const Tensor& scores, std::int64_t row) {
  const std::int64_t classes = scores.shape()[1];
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < classes; ++c) {
    if (scores.at(row * classes + c) > scores.at(row * classes + best)) best = c;
  }
  return best;
}

}  // namespace

std::vector<WeightedView> weighted_views(Views views) {
  const ImagePlacement image, mirrored{.flip = true};
  if (views == Views::single) return {{image, 1}};
  if (views == Views::mirror) return {{image, 0.5f}, {mirrored, 0.5f}};
  std::vector<WeightedView> out{{image, 0.25f}, {mirrored, 0.25f}};
  for (const std::int64_t move : {1, -1}) {
    out.push_back({{.dy = move, .dx = move}, 0.125f});
    out.push_back({{.flip = true, .dy = move, .dx = -move}, 0.125f});  // the mirror image of the moved one
  }
  return out;
}

Evaluator::Evaluator(const Model& model, PixelScale scale, const EvaluatorOptions& options)
    : model_(model),
      scale_(std::move(scale)),
      options_(options),
      views_(weighted_views(options.views)),
      scores_(
          [this](Var x) {
            const Var logits = model_.logits(cast(x, model_.dtype()), Mode::evaluate);
            return softmax(views_.size() == 1 ? logits : combine(logits, views_), -1);
          },
          CompileOptions{.precision = options.precision}) {
  require(options.batch_size > 0, "an evaluation's batch size must be positive, not ", options.batch_size);
  require(scale_.mean.elements() == 0 || scale_.mean.elements() == model.input_shape().elements(),
          model.name(), " takes images of ", model.input_shape(), ", the mean image is ",
          scale_.mean.shape());
}

void Evaluator::for_each_batch(const ImageSet& set,
                               const std::function<void(std::int64_t, const Tensor&)>& use) {
  const auto views = std::int64_t(views_.size());
  const std::int64_t batch = std::max<std::int64_t>(options_.batch_size / views, 1);
  for (std::int64_t first = 0; first < set.size(); first += batch) {
    const std::int64_t rows = views * std::min(batch, set.size() - first);
    auto input = std::ranges::find_if(inputs_, [&](const Tensor& t) { return t.shape()[0] == rows; });
    if (input == inputs_.end()) {
      Shape shape{rows};
      for (const std::int64_t extent : model_.input_shape()) shape.push_back(extent);
      input = inputs_.insert(inputs_.end(), Tensor(DType::f32, shape));
    }
    fill(set, first, *input);
    use(first, scores_(std::as_const(*input)));
  }
}

void Evaluator::fill(const ImageSet& set, std::int64_t first, Tensor& input) {
  require(set.image_bytes() == model_.input_shape().elements(), model_.name(), " takes images of ",
          model_.input_shape(), ", not of ", set.image_shape());
  const PixelWriter writer(set.image_shape(), scale_);
  const std::int64_t count = input.shape()[0] / std::int64_t(views_.size());
  float* out = input.mutable_values<float>().data();
  for (const WeightedView& view : views_) {
    const PixelMap map(set.image_shape(), view.placement);
    parallel_for(count, [&](std::int64_t i) {
      float* row = out + i * set.image_bytes();
      if (view.placement == ImagePlacement{}) {
        writer.write(set.image(first + i), row);
      } else {
        writer.write(set.image(first + i), map, row);
      }
    });
    out += count * set.image_bytes();
  }
}

std::vector<std::int64_t> Evaluator::predictions(const ImageSet& set) {
  std::vector<std::int64_t> predicted(std::size_t(set.size()));
  for_each_batch(set, [&](std::int64_t first, const Tensor& scores) {
    for (std::int64_t i = 0; i < scores.shape()[0]; ++i)
      predicted[std::size_t(first + i)] = highest(scores, i);
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

ConfusionMatrix confusion(const Tensor& probabilities, std::span<const std::int64_t> labels,
                          std::vector<std::string> class_names) {
  ConfusionMatrix matrix(std::move(class_names));
  for (std::size_t i = 0; i < labels.size(); ++i)
    matrix.add(labels[i], highest(probabilities, std::int64_t(i)));
  return matrix;
}

std::vector<Mistake> worst_mistakes(const Tensor& probabilities, std::span<const std::int64_t> labels,
                                    std::size_t most) {
  std::vector<Mistake> mistakes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Mistake m{
        .image = std::int64_t(i), .label = labels[i], .predicted = highest(probabilities, std::int64_t(i))};
    m.probability = probabilities.at(m.image * probabilities.shape()[1] + m.predicted);
    if (m.predicted != m.label && !std::isnan(m.probability)) mistakes.push_back(m);
  }
  std::ranges::stable_sort(mistakes, std::ranges::greater(), &Mistake::probability);
  mistakes.resize(std::min(mistakes.size(), most));
  return mistakes;
}

}  // namespace tapestry
