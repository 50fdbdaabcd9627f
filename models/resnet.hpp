// Residual nets of basic blocks (He et al., "Deep residual learning for image recognition", 2015) for small
// images: conv 3x3 - batch norm - relu - stages of blocks - global average pool - linear. A block is relu(x +
// {conv 3x3 - batch norm - relu - conv 3x3 - batch norm}); the first of each stage but the first halves the
// image.
#pragma once

#include <tapestry/models/model.hpp>

#include <vector>

namespace tapestry {

/// How a block's input comes to its output's shape, where that is another.
enum class Shortcut : std::uint8_t {
  pad,      // every second pixel, between channels of 0 (their option A): no parameters
  project,  // a convolution 1x1 of stride 2 and a batch norm (option B)
};

struct ResNetOptions {
  std::string name = "resnet20";
  std::vector<std::int64_t> blocks{3, 3, 3};     // of each stage
  std::vector<std::int64_t> widths{16, 32, 64};  // channels of each stage; the stem has the first one's
  Shortcut shortcut = Shortcut::pad;
  std::int64_t side = 32;  // of the images
  std::int64_t classes = 10;
  DType dtype = DType::f32;
  std::uint64_t seed = 0;

  /// Section 4.2's net of so many layers, which is 6n + 2, for CIFAR-10: stages of n blocks, their first
  /// `width` channels wide.
  static ResNetOptions cifar(int layers, std::int64_t width = 16);
  /// Their ImageNet net of 18 layers with this stem: four stages of two blocks, projections.
  static ResNetOptions resnet18(std::int64_t width = 64);
};

/// Images [side, side, 3]. Layers stem/conv, stem/norm, stage1/block1/conv1, .../norm1, .../conv2, .../norm2,
/// .../shortcut/conv, .../shortcut/norm and head.
class ResNet final : public Model {
 public:
  explicit ResNet(ResNetOptions options = {});

  std::string name() const override { return options_.name; }
  Shape input_shape() const override { return {options_.side, options_.side, 3}; }
  std::int64_t classes() const override { return options_.classes; }
  Var logits(const Operand& x, Mode mode) const override;

 private:
  /// A convolution without bias and the batch norm after it.
  struct NormedConvolution {
    Convolution conv;
    BatchNorm norm;
    NormedConvolution(StateDict& state, const std::string& conv, const std::string& norm, std::int64_t in,
                      std::int64_t out, const Initializer& init, std::int64_t size, std::int64_t stride);
    Var operator()(const Operand& x, Mode mode) const;
  };
  struct Block {
    NormedConvolution first, second;
    std::optional<NormedConvolution> projection;
    std::int64_t stride;
    Var operator()(const Operand& x, Mode mode) const;
  };
  Block block(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t stride);

  ResNetOptions options_;
  Initializer init_;
  NormedConvolution stem_;
  std::vector<Block> blocks_;
  Linear head_;
};

}  // namespace tapestry
