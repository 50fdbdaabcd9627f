// The smallest convolutional net: conv - relu - 2x2 max pool - affine - relu - affine - softmax, as in the
// course whose notebook the fully connected net is from.
#pragma once

#include <tapestry/models/model.hpp>

namespace tapestry {

struct ThreeLayerOptions {
  std::int64_t filters = 32;
  std::int64_t filter_size = 7;
  std::int64_t hidden = 500;
  std::int64_t side = 32;  // of the images, even
  std::int64_t classes = 10;
  /// Standard deviation of the first weights; nothing: sqrt(2 / fan_in). Biases start at 0.
  std::optional<double> weight_scale{};
  /// L2 penalty: the loss has reg / 2 times the sum of the squared weights of all layers.
  double reg = 0;
  DType dtype = DType::f32;
  std::uint64_t seed = 0;
};

/// Images [side, side, 3]. Layers conv1, fc1 and fc2.
class ThreeLayerConvNet final : public Model {
 public:
  explicit ThreeLayerConvNet(ThreeLayerOptions options = {});

  std::string name() const override { return "three_layer"; }
  Shape input_shape() const override { return {options_.side, options_.side, 3}; }
  std::int64_t classes() const override { return options_.classes; }
  Var logits(const Operand& x, Mode mode) const override;
  std::optional<Var> penalty(Tape& tape) const override;

 private:
  ThreeLayerOptions options_;
  Convolution conv_;
  Linear hidden_, head_;
};

}  // namespace tapestry
