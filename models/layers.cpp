#include <tapestry/models/layers.hpp>
#include <tapestry/ops/conv.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/reduce.hpp>

#include <cmath>
#include <functional>

namespace tapestry {
namespace {

// FNV-1a: a stream of random numbers of its own for each parameter, the same on every machine.
std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) hash = (hash ^ std::uint8_t(c)) * 0x100000001b3ull;
  return hash;
}

template <class Draw>
Tensor drawn(const Shape& shape, DType dtype, Draw draw) {
  Tensor values(DType::f64, shape);
  for (double& value : values.mutable_values<double>()) value = draw();
  return values.to(dtype);
}

/// Weights, each of which has `fan_in` others beside it in a sum.
Tensor scaled_normal(const Initializer& init, const std::string& name, const Shape& shape,
                     std::int64_t fan_in, const WeightScale& scale) {
  return init.normal(name, shape, scale.deviation.value_or(std::sqrt(2.0 / double(fan_in))));
}

/// All axes but the last.
Axes but_channels(const Var& x) {
  std::vector<int> axes;
  for (int i = 0; i + 1 < x.rank(); ++i) axes.push_back(i);
  return Axes(axes);
}

}  // namespace

Tensor Initializer::normal(std::string_view name, const Shape& shape, double deviation) const {
  Random random(seed_, stream_of(name));
  return drawn(shape, dtype_, [&] { return deviation * random.normal(); });
}

Tensor Initializer::uniform(std::string_view name, const Shape& shape, double limit) const {
  Random random(seed_, stream_of(name));
  return drawn(shape, dtype_, [&] { return limit * (2 * random.uniform() - 1); });
}

Tensor Initializer::full(const Shape& shape, double value) const {
  return drawn(shape, dtype_, [&] { return value; });
}

std::string layer_name(const State& parameter) {
  return parameter.name().substr(0, parameter.name().rfind('/'));
}

Linear::Linear(StateDict& state, const std::string& name, std::int64_t in, std::int64_t out,
               const Initializer& init, WeightScale scale)
    : weight(state.create(name + "/weight", scaled_normal(init, name + "/weight", {in, out}, in, scale))),
      bias(state.create(name + "/bias", init.full({out}, 0))) {}

Var Linear::operator()(const Operand& x) const {
  const Scope scope(x, layer_name(weight));
  return linear(x, weight, bias);
}

Convolution::Convolution(StateDict& state, const std::string& name, std::int64_t in, std::int64_t out,
                         const Initializer& init, const ConvolutionOptions& options)
    : weight([&] {
        const auto [h, w] = options.size;
        const std::int64_t channels = in / options.groups;
        return state.create(name + "/weight", scaled_normal(init, name + "/weight", {h, w, channels, out},
                                                            h * w * channels, options.scale));
      }()),
      stride(options.stride),
      padding(options.padding),
      groups(options.groups) {
  if (options.bias) bias = state.create(name + "/bias", init.full({out}, 0));
}

Var Convolution::operator()(const Operand& x) const {
  const Scope scope(x, layer_name(weight));
  const Var y = conv2d(x, weight, {.stride = stride, .padding = padding, .groups = groups});
  return bias ? y + *bias : y;
}

BatchNorm::BatchNorm(StateDict& state, const std::string& name, std::int64_t channels,
                     const Initializer& init)
    : gamma(state.create(name + "/gamma", init.full({channels}, 1))),
      beta(state.create(name + "/beta", init.full({channels}, 0))),
      running_mean(state.create(name + "/running_mean", init.full({channels}, 0), StateKind::statistic)),
      running_var(state.create(name + "/running_var", init.full({channels}, 1), StateKind::statistic)) {}

Var BatchNorm::operator()(const Operand& x, Mode mode) const {
  const Scope scope(x, layer_name(gamma));
  if (mode == Mode::evaluate) return batchnorm_inference(x, gamma, beta, running_mean, running_var, epsilon);
  // The statistics are stated again; compiling merges them with those inside the normalisation.
  const Var batch = x.var();
  Tape& tape = batch.tape();
  const auto follow = [&](const State& running, const Var& now) {
    tape.write(running, momentum * tape.read(running) + (1 - momentum) * stop_gradient(now));
  };
  follow(running_mean, mean(batch, but_channels(batch)));
  follow(running_var, var(batch, but_channels(batch)));
  return batchnorm(x, gamma, beta, epsilon);
}

LayerNorm::LayerNorm(StateDict& state, const std::string& name, std::int64_t channels,
                     const Initializer& init)
    : gamma(state.create(name + "/gamma", init.full({channels}, 1))),
      beta(state.create(name + "/beta", init.full({channels}, 0))) {}

Var LayerNorm::operator()(const Operand& x) const {
  const Scope scope(x, layer_name(gamma));
  return layernorm(x, gamma, beta, epsilon);
}

GroupNorm::GroupNorm(StateDict& state, const std::string& name, std::int64_t channels,
                     std::int64_t group_count, const Initializer& init)
    : gamma(state.create(name + "/gamma", init.full({channels}, 1))),
      beta(state.create(name + "/beta", init.full({channels}, 0))),
      groups(group_count) {}

Var GroupNorm::operator()(const Operand& x) const {
  const Scope scope(x, layer_name(gamma));
  return groupnorm(x, gamma, beta, groups, epsilon);
}

Var Dropout::operator()(const Operand& x, Mode mode) const {
  return mode == Mode::train && keep < 1 ? dropout(x, keep, key) : x.var();
}

}  // namespace tapestry
