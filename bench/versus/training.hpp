// A training step as cifar_train does it: a batch from the loader, the compiled step, its loss.
#pragma once

#include "cases.hpp"

#include <tapestry/core/random.hpp>
#include <tapestry/models/trainer.hpp>

#include <cstring>
#include <memory>
#include <utility>

namespace versus {

/// As many noise images as PyTorch gets: far more than the caches hold.
inline tapestry::ImageSet noise() {
  constexpr std::int64_t images = 20'000;
  tapestry::Random random(1);
  tapestry::Tensor pixels(tapestry::DType::u8, {images, 32, 32, 3}), labels(tapestry::DType::i64, {images});
  const auto bytes = pixels.mutable_values<std::uint8_t>();
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = random.bits();
    std::memcpy(&bytes[i], &word, 8);
  }
  for (std::int64_t& label : labels.mutable_values<std::int64_t>()) label = random.below(10);
  return {std::move(pixels), std::move(labels)};
}

struct Training {
  std::unique_ptr<tapestry::Model> model;
  tapestry::BatchLoader loader;
  tapestry::Function step;
  tapestry::Tensor rate;

  Training(std::unique_ptr<tapestry::Model> model_, const tapestry::ImageSet& images,
           const tapestry::PixelScale& scale, std::int64_t batch, const tapestry::Optimizer& optimizer,
           float learning_rate, tapestry::Precision precision = tapestry::Precision::f32)
      : model(std::move(model_)),
        loader(images, scale, {.batch_size = batch, .flatten = model->input_shape().rank() == 1}),
        step(tapestry::training_step(*model, optimizer, false, tapestry::Location::current(), precision)),
        rate(tapestry::Tensor::scalar(learning_rate)) {}

  void once() {
    const tapestry::Batch next = loader.next();
    static_cast<void>(step(next.images, next.labels, rate).item());
  }
};

}  // namespace versus
