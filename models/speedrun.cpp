#include <tapestry/models/data/whitening.hpp>
#include <tapestry/models/speedrun.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/conv.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/optim/muon.hpp>
#include <tapestry/optim/sgd.hpp>

#include <cmath>

namespace tapestry {
namespace {

constexpr double kMomentum = 0.6, kEpsilon = 1e-12;  // of batch norms
constexpr std::int64_t kWhitened = 24;

/// Uniform, but the first `in` filters hand their channel on.
Tensor partial_identity(const Initializer& init, const std::string& name, std::int64_t in, std::int64_t out) {
  Tensor w = init.uniform(name, {3, 3, in, out}, 1 / std::sqrt(9.0 * double(in))).to(DType::f64);
  const auto values = w.mutable_values<double>();
  for (std::int64_t tap = 0; tap < 9; ++tap) {
    for (std::int64_t i = 0; i < in; ++i) {
      for (std::int64_t o = 0; o < std::min(in, out); ++o) {
        values[std::size_t((tap * in + i) * out + o)] = tap == 4 && i == o ? 1 : 0;
      }
    }
  }
  return w.to(init.dtype());
}

/// Uniform, scaled to a standard deviation of 1.
Tensor unit_deviation(const Initializer& init, const std::string& name, std::int64_t in, std::int64_t out) {
  Tensor w = init.uniform(name, {in, out}, 1).to(DType::f64);
  const auto values = w.mutable_values<double>();
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / double(values.size());
  for (const double v : values) squares += (v - mean) * (v - mean);
  const double deviation = std::sqrt(squares / double(values.size() - 1));
  for (double& v : values) v /= deviation;
  return w.to(init.dtype());
}

}  // namespace

SpeedrunNet::Layer::Layer(StateDict& state, const std::string& name, std::int64_t in, std::int64_t out,
                          const Initializer& init)
    : weight(state.create(name + "/weight", partial_identity(init, name + "/weight", in, out))),
      beta(state.create(name + "/beta", init.full({out}, 0))),
      running_mean(state.create(name + "/running_mean", init.full({out}, 0), StateKind::statistic)),
      running_var(state.create(name + "/running_var", init.full({out}, 1), StateKind::statistic)) {}

Var SpeedrunNet::Layer::convolved(const Var& x) const {
  return conv2d(x, weight, {.padding = Padding::same});
}

Var SpeedrunNet::Layer::normalized(const Var& x, Mode mode) const {
  Tape& tape = x.tape();
  const Var one = broadcast_to(tape.constant(1, x.dtype()), beta.type().shape);
  if (mode == Mode::evaluate) return batchnorm_inference(x, one, beta, running_mean, running_var, kEpsilon);
  const auto follow = [&](const State& running, const Var& now) {
    tape.write(running, kMomentum * tape.read(running) + (1 - kMomentum) * stop_gradient(now));
  };
  follow(running_mean, mean(x, {0, 1, 2}));
  follow(running_var, var(x, {0, 1, 2}));
  return batchnorm(x, one, beta, kEpsilon);
}

SpeedrunNet::SpeedrunNet(SpeedrunOptions options)
    : options_(std::move(options)),
      whiten_(
          state_.create("whiten/weight", Tensor(options_.dtype, {2, 2, 3, kWhitened}), StateKind::statistic)),
      whiten_bias_(state_.create("whiten/bias", Tensor(options_.dtype, {kWhitened}))),
      groups_([&] {
        const Initializer init(options_.seed, options_.dtype);
        std::vector<Group> groups;
        std::int64_t in = kWhitened;
        for (std::size_t i = 0; i < options_.widths.size(); ++i) {
          const std::string name = text("group", i + 1);
          const std::int64_t out = options_.widths[i];
          groups.push_back({Layer(state_, name + "/conv1", in, out, init),
                            Layer(state_, name + "/conv2", out, out, init)});
          in = out;
        }
        return groups;
      }()),
      head_(state_.create("head/weight",
                          unit_deviation(Initializer(options_.seed, options_.dtype), "head/weight",
                                         options_.widths.back(), options_.classes))) {}

void SpeedrunNet::look_at(const ImageSet& training, const PixelScale& scale) {
  whiten_.set(whitening_filters(training, scale).to(options_.dtype));
}

Var SpeedrunNet::logits(const Operand& x, Mode mode) const {
  const auto scope = [&](const State& weight) { return Scope(x, layer_name(weight)); };
  Var h = [&] {
    const Scope here = scope(whiten_);
    const Var whitened = conv2d(x, whiten_);
    return gelu(whitened + whitened.tape().read(whiten_bias_));
  }();
  for (const auto& [first, second] : groups_) {
    {
      const Scope here = scope(first.weight);
      h = gelu(first.normalized(max_pool2d(first.convolved(h), 2), mode));
    }
    const Scope here = scope(second.weight);
    h = gelu(second.normalized(second.convolved(h), mode));
  }
  const Scope here = scope(head_);
  h = max_pool2d(h, 3);
  return matmul(reshape(h, {h.shape()[0], -1}), head_) * (1 / double(options_.widths.back()));
}

Optimizer speedrun_optimizer(StateDict& state, std::int64_t batch_size, std::int64_t epochs,
                             OptimizerOptions options) {
  // The recipe's loss is summed over the batch and ours is a mean: that is a learning rate so many times as
  // large, and a decay so many times smaller.
  constexpr double kDecay = 4e-3, kBiasRate = 0.053, kHeadRate = 0.67, kFilterRate = 0.24, kWhitenEpochs = 3;
  const double images = double(batch_size);
  const auto group = [&](std::string pattern, double rate) {
    return ParameterGroup{.pattern = std::move(pattern),
                          .learning_rate_scale = rate * images,
                          .weight_decay = kDecay / rate / images};
  };
  // From 1 to 0 over the first epochs, in terms of what falls from 1 to 0 over all of them.
  ParameterGroup whiten = group("whiten/bias", kBiasRate);
  whiten.learning_rate = [=](const Var& rate) {
    const double full = kBiasRate * images, faster = double(epochs) / std::min(kWhitenEpochs, double(epochs));
    return maximum(full - (full - rate) * faster, 0);
  };
  Muon muon;
  muon.momentum = 0.6;
  muon.steps = 3;
  muon.normalize = true;
  ParameterGroup filters{.pattern = "group*/weight", .learning_rate_scale = kFilterRate, .weight_decay = 0};
  filters.rule = std::make_shared<const Muon>(muon);
  options.groups = {whiten, group("*/beta", kBiasRate), group("head/weight", kHeadRate), filters};
  options.name = "speedrun";
  return {state, AccumulatedMomentum(0.85, true), std::move(options)};
}

}  // namespace tapestry
