// The notebook's network: {affine - [batch or layer norm] - relu - [dropout]} x (L - 1) - affine - softmax.
#pragma once

#include <tapestry/models/model.hpp>

#include <vector>

namespace tapestry {

enum class Normalization : std::uint8_t { none, batch, layer };

struct FullyConnectedOptions {
  std::vector<std::int64_t> hidden{500, 500, 500};
  std::int64_t inputs = 3072;
  std::int64_t classes = 10;
  /// Standard deviation of the first weights; biases start at 0.
  double weight_scale = 1e-2;
  Normalization normalization = Normalization::none;
  /// Probability of keeping a hidden value in training; 1: no dropout.
  double keep = 1;
  /// L2 penalty: the loss has reg / 2 times the sum of the squared weights of the affine layers.
  double reg = 0;
  DType dtype = DType::f32;
  std::uint64_t seed = 0;
};

/// Layers are named fc1, norm1, fc2, ...: parameters fc1/weight, fc1/bias, norm1/gamma, norm1/beta, ...
class FullyConnectedNet final : public Model {
 public:
  explicit FullyConnectedNet(FullyConnectedOptions options = {});

  std::string name() const override { return "fully_connected"; }
  Shape input_shape() const override { return {options_.inputs}; }
  std::int64_t classes() const override { return options_.classes; }
  Var logits(const Operand& x, Mode mode) const override;
  std::optional<Var> penalty(Tape& tape) const override;

  const FullyConnectedOptions& options() const { return options_; }

 private:
  FullyConnectedOptions options_;
  std::vector<Linear> affine_;
  std::vector<BatchNorm> batch_norm_;
  std::vector<LayerNorm> layer_norm_;
  std::optional<Dropout> dropout_;
};

}  // namespace tapestry
