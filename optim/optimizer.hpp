// Optimizers: given parameters and their gradients, they state the new values as graph expressions on the
// tape of the step. Moments are State, the learning rate is whatever is passed in - an input, usually, so
// that a schedule never recompiles - and an unrolled step can be differentiated like anything else.
//
//   Optimizer optimizer(state, Adam{});
//   Function step = [&](Var x, Var y, Var lr) {
//     Var loss = softmax_cross_entropy(model(x), y);
//     optimizer.minimize(loss, state.parameters(), lr);
//     return loss;
//   };
#pragma once

#include <tapestry/core/state.hpp>
#include <tapestry/core/tape.hpp>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry {

/// What a rule keeps of one parameter between steps, by name: "v" of fc1/weight under Adam is the state
/// "adam/fc1/weight/v". Zeros at first, of the parameter's type, f32 for those in bf16.
class Slots {
 public:
  /// `name` is the parameter's, `parameter` its value.
  Slots(StateDict& state, std::string_view optimizer, std::string name, Var parameter,
        std::optional<Var> count, double weight_decay = 0)
      : state_(state),
        prefix_(text(optimizer, '/', name)),
        name_(std::move(name)),
        parameter_(parameter),
        count_(count),
        weight_decay_(weight_decay) {}

  /// What the parameter is called, for errors.
  const std::string& parameter() const { return name_; }
  Var read(std::string_view name) const;
  /// Declares the next value and returns it.
  Var write(std::string_view name, const Operand& value) const;
  /// The number of this step, 1 for the first, in the parameter's dtype. For rules that ask for it.
  Var count() const { return *count_; }
  /// The coefficient of weight decay. For rules that decay weights themselves.
  double weight_decay() const { return weight_decay_; }

 private:
  State slot(std::string_view name) const;

  StateDict& state_;
  std::string prefix_, name_;
  Var parameter_;
  std::optional<Var> count_;
  double weight_decay_ = 0;
};

/// An update rule: one formula.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  virtual std::string name() const = 0;
  /// Does update() use Slots::count()?
  virtual bool counts_steps() const { return false; }
  /// Decoupled weight decay that is part of the rule; OptimizerOptions and groups may change it.
  virtual std::optional<double> decoupled_decay() const { return std::nullopt; }
  /// Does update() shrink w by Slots::weight_decay() itself, as a part of its step?
  virtual bool decays_weights() const { return false; }
  /// The new value of w, given its gradient g and the learning rate, all of one dtype.
  virtual Var update(const Var& w, const Var& g, const Var& learning_rate, const Slots& slots) const = 0;
};

struct ParameterGradient {
  State parameter;
  Var gradient;
};

/// Settings of the parameters whose names match `pattern`, in which * stands for any text: "*/bias". One that
/// matches none is an Error.
struct ParameterGroup {
  std::string pattern;
  double learning_rate_scale = 1;
  std::optional<double> weight_decay{};  // nothing: as for all
  /// Another rule than the others'; nothing: the same.
  std::shared_ptr<const UpdateRule> rule{};
  /// Their rate, of the one that is passed in and scaled; nothing: that one.
  std::function<Var(const Var&)> learning_rate{};
};

/// Slow weights: every so many steps they move by a fraction `alpha` of the way to the weights that the rule
/// moves, which go on from there (Zhang et al., 2019). State "NAME/fc1/weight/slow".
struct Lookahead {
  std::int64_t steps = 5;
  double alpha = 0.5;
};

struct OptimizerOptions {
  /// Coefficient of weight decay; see `decoupled`.
  double weight_decay = 0;
  /// false: decay * w is added to the gradient (an L2 penalty). true: w is also shrunk by learning rate *
  /// decay * w, outside of the rule (Loshchilov and Hutter, 2019).
  bool decoupled = false;
  /// Gradients are scaled down together so that their global Euclidean norm is at most this.
  std::optional<double> clip_norm{};
  /// Of every parameter, whatever its rule.
  std::optional<Lookahead> lookahead{};
  /// The first group that matches a parameter applies.
  std::vector<ParameterGroup> groups{};
  /// What its State is called: NAME/t, NAME/fc1/weight/v. The rule's name unless given; two optimizers of one
  /// rule on one StateDict need names of their own.
  std::string name{};
};

class Optimizer {
 public:
  /// Keeps its moments in `state`, which must outlive it.
  template <std::derived_from<UpdateRule> Rule>
  Optimizer(StateDict& state, Rule rule, OptimizerOptions options = {})
      : Optimizer(state, std::make_shared<const Rule>(std::move(rule)), std::move(options)) {}
  Optimizer(StateDict& state, std::shared_ptr<const UpdateRule> rule, OptimizerOptions options = {});

  /// Declares the update of each parameter, once each, on the tape of the gradients. Of parameters in bf16 it
  /// is worked out in f32, which keeps the moments, too; only the new value is rounded.
  void step(std::span<const ParameterGradient> pairs, const Operand& learning_rate) const;
  /// The same with the gradients of `loss`, which are derived here.
  void minimize(const Operand& loss, std::span<const State> parameters, const Operand& learning_rate) const;

  const UpdateRule& rule() const { return *rule_; }
  const OptimizerOptions& options() const { return options_; }

 private:
  Var updated(const State& parameter, Var gradient, const Operand& learning_rate,
              std::optional<Var> count) const;

  StateDict& state_;
  std::shared_ptr<const UpdateRule> rule_;
  OptimizerOptions options_;
};

/// Does `name` match `pattern`, in which * stands for any text?
bool matches(std::string_view pattern, std::string_view name);

}  // namespace tapestry
