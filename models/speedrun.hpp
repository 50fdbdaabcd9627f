// The net of "94% on CIFAR-10 in 3.29 seconds on a single GPU" (K. Jordan, arXiv 2404.00498) as it is trained
// with Muon: whitening 2x2 convolution - GELU - three groups of {conv 3x3 - max pool 2 - batch norm - GELU -
// conv 3x3 - batch norm - GELU} - max pool 3 - linear.
#pragma once

#include <tapestry/models/model.hpp>
#include <tapestry/optim/optimizer.hpp>

#include <array>

namespace tapestry {

struct SpeedrunOptions {
  std::array<std::int64_t, 3> widths{64, 256, 256};  // channels of each group
  std::int64_t classes = 10;
  std::uint64_t seed = 0;
  DType dtype = DType::f32;
};

/// Images [32, 32, 3], channels normalised. The first filters are fixed: look_at() makes them of the training
/// images.
class SpeedrunNet final : public Model {
 public:
  explicit SpeedrunNet(SpeedrunOptions options = {});

  std::string name() const override { return "speedrun"; }
  Shape input_shape() const override { return {32, 32, 3}; }
  std::int64_t classes() const override { return options_.classes; }
  Var logits(const Operand& x, Mode mode) const override;
  double label_smoothing() const override { return 0.2; }
  void look_at(const ImageSet& training, const PixelScale& scale) override;

 private:
  /// A convolution without bias and the batch norm after it, which shifts but doesn't scale.
  struct Layer {
    State weight, beta, running_mean, running_var;
    Layer(StateDict& state, const std::string& name, std::int64_t in, std::int64_t out,
          const Initializer& init);
    Var convolved(const Var& x) const;
    Var normalized(const Var& x, Mode mode) const;
  };
  struct Group {
    Layer first, second;
  };

  SpeedrunOptions options_;
  State whiten_, whiten_bias_;
  std::vector<Group> groups_;
  State head_;
};

/// The recipe's: Muon for the filters, Nesterov momentum for the rest, the whitening's bias for the first
/// three epochs only. Its learning rates are those of the rate 1 that falls to 0 along a line over the
/// epochs. Groups, decays and the name are the recipe's, whatever `options` say of them.
Optimizer speedrun_optimizer(StateDict& state, std::int64_t batch_size = 2000, std::int64_t epochs = 8,
                             OptimizerOptions options = {});

}  // namespace tapestry
