// A small vision transformer (Dosovitskiy et al., "An image is worth 16x16 words", 2021): patches as tokens,
// learned positions, blocks, the mean over tokens instead of a token for the class (Beyer et al., 2022).
#pragma once

#include <tapestry/models/model.hpp>
#include <tapestry/models/transformer.hpp>

#include <vector>

namespace tapestry {

struct VisionTransformerOptions {
  std::int64_t side = 32;  // of the images
  std::int64_t patch = 4;  // of the patches, whose number is (side / patch)^2
  std::int64_t width = 128;
  std::int64_t depth = 6;
  std::int64_t heads = 4;
  std::int64_t mlp_width = 256;
  std::int64_t classes = 10;
  DType dtype = DType::f32;
  std::uint64_t seed = 0;
};

/// Images [side, side, 3]. Layers patches, tokens (positions), block1 and so on, norm and head.
class VisionTransformer final : public Model {
 public:
  explicit VisionTransformer(VisionTransformerOptions options = {});

  std::string name() const override { return "vit"; }
  Shape input_shape() const override { return {options_.side, options_.side, 3}; }
  std::int64_t classes() const override { return options_.classes; }
  Var logits(const Operand& x, Mode mode) const override;

 private:
  std::int64_t tokens() const { return options_.side / options_.patch * (options_.side / options_.patch); }

  VisionTransformerOptions options_;
  Initializer init_;
  Convolution patches_;
  LearnedPositions positions_;
  std::vector<TransformerBlock> blocks_;
  LayerNorm norm_;
  Linear head_;
};

}  // namespace tapestry
