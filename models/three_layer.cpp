#include <tapestry/models/three_layer.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/shape.hpp>

namespace tapestry {
namespace {

ThreeLayerOptions checked(ThreeLayerOptions options) {
  require(options.filters > 0 && options.filter_size > 0 && options.hidden > 0 && options.classes > 0,
          "a three-layer net needs filters, hidden units and classes, not ", options.filters, " of size ",
          options.filter_size, ", ", options.hidden, " and ", options.classes);
  require(options.side > 0 && options.side % 2 == 0, "a three-layer net halves images of ", options.side,
          " pixels a side, which must be an even number");
  return options;
}

}  // namespace

ThreeLayerConvNet::ThreeLayerConvNet(ThreeLayerOptions options)
    : options_(checked(std::move(options))),
      conv_(state_, "conv1", 3, options_.filters, Initializer(options_.seed, options_.dtype),
            {.size = options_.filter_size, .scale = {options_.weight_scale}}),
      hidden_(state_, "fc1", options_.filters * options_.side * options_.side / 4, options_.hidden,
              Initializer(options_.seed, options_.dtype), {options_.weight_scale}),
      head_(state_, "fc2", options_.hidden, options_.classes, Initializer(options_.seed, options_.dtype),
            {options_.weight_scale}) {}

Var ThreeLayerConvNet::logits(const Operand& x, Mode) const {
  const Var pooled = max_pool2d({relu(conv_(x)), x.at()}, 2);
  const Var features = reshape({pooled, x.at()}, {pooled.shape()[0], -1});
  return head_({relu(hidden_({features, x.at()})), x.at()});
}

std::optional<Var> ThreeLayerConvNet::penalty(Tape& tape) const {
  if (options_.reg == 0) return std::nullopt;
  const auto term = [&](const State& weight) { return l2_penalty(tape.read(weight), options_.reg); };
  return term(conv_.weight) + term(hidden_.weight) + term(head_.weight);
}

}  // namespace tapestry
