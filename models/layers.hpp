// Layers: plain structs that hold State and are called on variables. A model is a function that calls them.
#pragma once

#include <tapestry/core/random.hpp>
#include <tapestry/core/state.hpp>
#include <tapestry/core/tape.hpp>
#include <tapestry/ops/window.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace tapestry {

/// Training uses batch statistics and dropout; evaluation is a function of the input alone. Each is a trace
/// of its own.
enum class Mode : std::uint8_t { train, evaluate };

/// First values of parameters; the values depend on (seed, name of the parameter) alone.
class Initializer {
 public:
  explicit Initializer(std::uint64_t seed, DType dtype = DType::f32) : seed_(seed), dtype_(dtype) {}

  DType dtype() const { return dtype_; }
  /// Normal with mean 0.
  Tensor normal(std::string_view name, const Shape& shape, double deviation) const;
  /// Uniform in [-limit, limit).
  Tensor uniform(std::string_view name, const Shape& shape, double limit) const;
  Tensor full(const Shape& shape, double value) const;

 private:
  std::uint64_t seed_;
  DType dtype_;
};

/// How the weights of a linear layer or a convolution start.
struct WeightScale {
  /// Standard deviation; nothing: sqrt(2 / fan_in), which keeps the variance through relu (He et al., 2015).
  std::optional<double> deviation{};
};

/// x [..., in] -> x @ weight [in, out] + bias [out]. Parameters NAME/weight and NAME/bias.
struct Linear {
  State weight;
  State bias;

  Linear(StateDict& state, const std::string& name, std::int64_t in, std::int64_t out,
         const Initializer& init, WeightScale scale = {});
  Var operator()(const Operand& x) const;
};

struct ConvolutionOptions {
  Extent2d size = 3;  // of the filters
  Extent2d stride = 1;
  Padding padding = Padding::same;
  std::int64_t groups = 1;
  bool bias = true;  // of no use before a batch norm
  WeightScale scale{};
};

/// x [n, h, w, in] convolved with weight [size.h, size.w, in / groups, out], plus bias [out] if there is one.
/// Parameters NAME/weight and NAME/bias.
struct Convolution {
  State weight;
  std::optional<State> bias;
  Extent2d stride;
  Padding padding;
  std::int64_t groups;

  Convolution(StateDict& state, const std::string& name, std::int64_t in, std::int64_t out,
              const Initializer& init, const ConvolutionOptions& options = {});
  Var operator()(const Operand& x) const;
};

/// Normalises each channel (the last axis) over all other axes, then scales by gamma and shifts by beta. In
/// training by the statistics of the batch, of which it keeps running means: running <- momentum running + (1
/// - momentum) batch.
struct BatchNorm {
  State gamma;
  State beta;
  State running_mean;
  State running_var;
  double momentum = 0.9;
  double epsilon = 1e-5;

  BatchNorm(StateDict& state, const std::string& name, std::int64_t channels, const Initializer& init);
  Var operator()(const Operand& x, Mode mode) const;
};

/// Normalises each row over the last axis, then scales by gamma and shifts by beta.
struct LayerNorm {
  State gamma;
  State beta;
  double epsilon = 1e-5;

  LayerNorm(StateDict& state, const std::string& name, std::int64_t channels, const Initializer& init);
  Var operator()(const Operand& x) const;
};

/// Normalises each image's part of each group of channels, then scales by gamma and shifts by beta.
struct GroupNorm {
  State gamma;
  State beta;
  std::int64_t groups;
  double epsilon = 1e-5;

  GroupNorm(StateDict& state, const std::string& name, std::int64_t channels, std::int64_t groups,
            const Initializer& init);
  Var operator()(const Operand& x) const;
};

/// In training keeps each value with probability `keep`, scaled by 1 / keep; otherwise does nothing.
struct Dropout {
  double keep = 1;
  State key;

  Var operator()(const Operand& x, Mode mode) const;
};

/// The part of a layer's name before the last slash.
std::string layer_name(const State& parameter);

}  // namespace tapestry
