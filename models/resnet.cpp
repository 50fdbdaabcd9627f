#include <tapestry/models/resnet.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/slice.hpp>

#include <algorithm>

namespace tapestry {
namespace {

ResNetOptions checked(ResNetOptions options) {
  require(!options.widths.empty() && options.widths.size() == options.blocks.size(),
          "a residual net needs a width for each stage, not ", options.widths.size(), " for ",
          options.blocks.size());
  const auto positive = [](std::int64_t n) { return n > 0; };
  require(std::ranges::all_of(options.widths, positive) && std::ranges::all_of(options.blocks, positive),
          "each stage of a residual net needs blocks and channels");
  require(options.side > 0 && options.classes > 0, "a residual net needs pixels and classes, not ",
          options.side, " and ", options.classes);
  return options;
}

/// Every `stride`-th pixel, between channels of 0.
Var padded(const Operand& x, std::int64_t stride, std::int64_t channels) {
  const Var pixels = slice(x, {{}, {0, Range::end, stride}, {0, Range::end, stride}});
  const std::int64_t more = channels - pixels.shape()[3];
  require(more >= 0, "a shortcut that pads can't take channels away: ", pixels.shape()[3], " to ", channels);
  return pad({pixels, x.at()}, {0, 0, 0, more / 2}, {0, 0, 0, more - more / 2});
}

}  // namespace

ResNetOptions ResNetOptions::cifar(int layers, std::int64_t width) {
  require(layers >= 8 && layers % 6 == 2, "a residual net for CIFAR-10 has 6n + 2 layers, not ", layers);
  const std::int64_t n = (layers - 2) / 6;
  return {.name = text("resnet", layers), .blocks = {n, n, n}, .widths = {width, 2 * width, 4 * width}};
}

ResNetOptions ResNetOptions::resnet18(std::int64_t width) {
  return {.name = "resnet18",
          .blocks = {2, 2, 2, 2},
          .widths = {width, 2 * width, 4 * width, 8 * width},
          .shortcut = Shortcut::project};
}

// Images are padded by a pixel all around, with any stride: `same` would pad halved images below and to the
// right only.
ResNet::NormedConvolution::NormedConvolution(StateDict& state, const std::string& conv_name,
                                             const std::string& norm_name, std::int64_t in, std::int64_t out,
                                             const Initializer& init, std::int64_t size, std::int64_t stride)
    : conv(state, conv_name, in, out, init,
           {.size = size, .stride = stride, .padding = size / 2, .bias = false}),
      norm(state, norm_name, out, init) {}

Var ResNet::NormedConvolution::operator()(const Operand& x, Mode mode) const {
  return norm({conv(x), x.at()}, mode);
}

Var ResNet::Block::operator()(const Operand& x, Mode mode) const {
  const auto shortcut = [&] {
    if (projection) return (*projection)(x, mode);
    const std::int64_t out = second.conv.weight.type().shape.back();
    return stride == 1 && x.var().shape().back() == out ? x.var() : padded(x, stride, out);
  };
  const Var h = relu({first(x, mode), x.at()});
  return relu(second({h, x.at()}, mode) + shortcut());
}

ResNet::Block ResNet::block(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t stride) {
  const auto part = [&](const char* number, std::int64_t from, std::int64_t step) {
    return NormedConvolution(state_, name + "/conv" + number, name + "/norm" + number, from, out, init_, 3,
                             step);
  };
  Block made{part("1", in, stride), part("2", out, 1), std::nullopt, stride};
  if (options_.shortcut == Shortcut::project && (stride != 1 || in != out)) {
    made.projection.emplace(state_, name + "/shortcut/conv", name + "/shortcut/norm", in, out, init_, 1,
                            stride);
  }
  return made;
}

ResNet::ResNet(ResNetOptions options)
    : options_(checked(std::move(options))),
      init_(options_.seed, options_.dtype),
      stem_(state_, "stem/conv", "stem/norm", 3, options_.widths.front(), init_, 3, 1),
      blocks_([&] {
        std::vector<Block> blocks;
        std::int64_t in = options_.widths.front();
        for (std::size_t stage = 0; stage < options_.widths.size(); ++stage) {
          for (std::int64_t i = 0; i < options_.blocks[stage]; ++i) {
            const std::int64_t out = options_.widths[stage], stride = stage > 0 && i == 0 ? 2 : 1;
            blocks.push_back(block(text("stage", stage + 1, "/block", i + 1), in, out, stride));
            in = out;
          }
        }
        return blocks;
      }()),
      head_(state_, "head", options_.widths.back(), options_.classes, init_) {}

Var ResNet::logits(const Operand& x, Mode mode) const {
  Var h = relu({stem_(x, mode), x.at()});
  for (const Block& block : blocks_) h = block({h, x.at()}, mode);
  return head_({global_avg_pool2d({h, x.at()}), x.at()});
}

}  // namespace tapestry
