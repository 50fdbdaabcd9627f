#include <tapestry/models/vision_transformer.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>

#include <cmath>

namespace tapestry {
namespace {

VisionTransformerOptions checked(VisionTransformerOptions options) {
  require(options.patch > 0 && options.side > 0 && options.side % options.patch == 0,
          "a vision transformer can't cut images of ", options.side, " pixels a side into patches of ",
          options.patch);
  require(options.width > 0 && options.mlp_width > 0 && options.depth >= 0 && options.classes > 0,
          "a vision transformer needs features and classes");
  return options;
}

}  // namespace

VisionTransformer::VisionTransformer(VisionTransformerOptions options)
    : options_(checked(options)),
      init_(options_.seed, options_.dtype),
      patches_(state_, "patches", 3, options_.width, init_,
               {.size = options_.patch,
                .stride = options_.patch,
                .padding = Padding::valid,
                .scale = {1 / std::sqrt(3.0 * double(options_.patch * options_.patch))}}),
      positions_(state_, "tokens", tokens(), options_.width, init_),
      blocks_([&] {
        std::vector<TransformerBlock> blocks;
        for (std::int64_t i = 0; i < options_.depth; ++i) {
          blocks.emplace_back(state_, text("block", i + 1), options_.width, options_.heads,
                              options_.mlp_width, init_);
        }
        return blocks;
      }()),
      norm_(state_, "norm", options_.width, init_),
      head_(state_, "head", options_.width, options_.classes, init_, {0.02}) {}

Var VisionTransformer::logits(const Operand& x, Mode) const {
  const Var patches = patches_(x);
  Var h = positions_({reshape(patches, {patches.shape()[0], tokens(), options_.width}), x.at()});
  for (const TransformerBlock& block : blocks_) h = block({h, x.at()});
  return head_({mean(norm_({h, x.at()}), 1), x.at()});
}

}  // namespace tapestry
