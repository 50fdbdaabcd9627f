#include <tapestry/models/fully_connected.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>

namespace tapestry {

FullyConnectedNet::FullyConnectedNet(FullyConnectedOptions options) : options_(std::move(options)) {
  require(options_.inputs > 0 && options_.classes > 0, "a fully connected net needs inputs and classes, not ",
          options_.inputs, " and ", options_.classes);
  require(options_.keep > 0 && options_.keep <= 1,
          "the probability of keeping a value must be in (0, 1], not ", options_.keep);
  const Initializer init(options_.seed, options_.dtype);
  const WeightScale scale{options_.weight_scale};
  std::int64_t width = options_.inputs;
  for (std::size_t i = 0; i < options_.hidden.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    const std::int64_t next = options_.hidden[i];
    require(next > 0, "hidden layer ", number, " can't have ", next, " units");
    affine_.emplace_back(state_, "fc" + number, width, next, init, scale);
    if (options_.normalization == Normalization::batch)
      batch_norm_.emplace_back(state_, "norm" + number, next, init);
    if (options_.normalization == Normalization::layer)
      layer_norm_.emplace_back(state_, "norm" + number, next, init);
    width = next;
  }
  affine_.emplace_back(state_, "fc" + std::to_string(affine_.size() + 1), width, options_.classes, init,
                       scale);
  if (options_.keep < 1) {
    // Not the seed itself, whose numbers shuffle the images.
    dropout_ = Dropout{options_.keep, make_random_key(state_, derive_seed(options_.seed, 1))};
  }
}

Var FullyConnectedNet::logits(const Operand& x, Mode mode) const {
  Operand h = x;
  for (std::size_t i = 0; i + 1 < affine_.size(); ++i) {
    h = {affine_[i](h), x.at()};
    if (!batch_norm_.empty()) h = {batch_norm_[i](h, mode), x.at()};
    if (!layer_norm_.empty()) h = {layer_norm_[i](h), x.at()};
    h = {relu(h), x.at()};
    if (dropout_) h = {(*dropout_)(h, mode), x.at()};
  }
  return affine_.back()(h);
}

std::optional<Var> FullyConnectedNet::penalty(Tape& tape) const {
  if (options_.reg == 0) return std::nullopt;
  std::optional<Var> total;
  for (const Linear& layer : affine_) {
    const Var term = l2_penalty(tape.read(layer.weight), options_.reg);
    total = total ? *total + term : term;
  }
  return total;
}

}  // namespace tapestry
