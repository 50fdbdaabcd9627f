#include <tapestry/core/differentiate.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/optim/clip.hpp>
#include <tapestry/optim/optimizer.hpp>

#include <algorithm>
#include <unordered_set>

namespace tapestry {
namespace {

Var as_dtype(const Operand& x, Tape& tape, DType dtype) {
  const Var var = x.on(tape, dtype);
  return var.dtype() == dtype ? var : cast(var, dtype);
}

/// What a step that took w to `next` comes to.
Var looked_ahead(const Lookahead& lookahead, const Var& w, const Var& next, const Slots& slots) {
  const Var t = slots.count();
  // Slow weights begin where the weights do.
  const Var slow = where(equal(t, 1), w, slots.read("slow"));
  // Is t a multiple of the steps? Rounded to the nearest, whatever the last bit of the quotient.
  const auto k = double(lookahead.steps);
  const Var due = equal(k * floor(t / k + 0.5), t);
  return where(due, slots.write("slow", where(due, slow + lookahead.alpha * (next - slow), slow)), next);
}

}  // namespace

State Slots::slot(std::string_view name) const {
  const std::string full = text(prefix_, '/', name);
  if (const State* found = state_.find(full)) return *found;
  return state_.create(full, Tensor(parameter_.type()), StateKind::optimizer);
}

Var Slots::read(std::string_view name) const { return parameter_.tape().read(slot(name)); }

Var Slots::write(std::string_view name, const Operand& value) const {
  parameter_.tape().write(slot(name), value);
  return value.on(parameter_.tape(), parameter_.dtype());
}

Optimizer::Optimizer(StateDict& state, std::shared_ptr<const UpdateRule> rule, OptimizerOptions options)
    : state_(state), rule_(std::move(rule)), options_(std::move(options)) {
  if (options_.name.empty()) options_.name = rule_->name();
  if (options_.lookahead) {
    require(options_.lookahead->steps > 0, "slow weights move every so many steps, at least 1, not ",
            options_.lookahead->steps);
  }
}

void Optimizer::step(std::span<const ParameterGradient> pairs, const Operand& learning_rate) const {
  if (pairs.empty()) return;
  Tape& tape = pairs.front().gradient.tape();
  const Scope scope(tape, rule_->name(), learning_rate.at());

  const std::vector<State> parameters = state_.parameters();  // also those that aren't moved by this step
  for (const ParameterGroup& group : options_.groups) {
    const auto in_group = [&](const State& parameter) { return matches(group.pattern, parameter.name()); };
    const auto moved = [&](const ParameterGradient& pair) { return in_group(pair.parameter); };
    require(std::ranges::any_of(parameters, in_group) || std::ranges::any_of(pairs, moved),
            "no parameter's name matches the group '", group.pattern, "'; the first is ",
            pairs.front().parameter.name());
  }
  std::unordered_set<const void*> moved_already;
  for (const ParameterGradient& pair : pairs) {
    require(moved_already.insert(pair.parameter.id()).second, "parameter ", pair.parameter.name(),
            " is given twice, and would take two steps");
  }
  std::vector<Var> gradients;
  for (const ParameterGradient& pair : pairs) gradients.push_back(pair.gradient);
  if (options_.clip_norm) gradients = clip_by_global_norm(gradients, *options_.clip_norm);

  std::optional<Var> count;
  const auto counts = [](const ParameterGroup& group) { return group.rule && group.rule->counts_steps(); };
  if (rule_->counts_steps() || options_.lookahead || std::ranges::any_of(options_.groups, counts)) {
    const std::string name = options_.name + "/t";
    if (!state_.find(name)) state_.create(name, Tensor::scalar(std::int64_t{0}), StateKind::optimizer);
    count = tape.read(state_.at(name)) + 1;
    tape.write(state_.at(name), *count);
  }
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const State& parameter = pairs[i].parameter;
    const Scope part(tape, parameter.name(), learning_rate.at());
    tape.write(parameter, updated(parameter, gradients[i], learning_rate, count));
  }
}

void Optimizer::minimize(const Operand& loss, std::span<const State> parameters,
                         const Operand& learning_rate) const {
  const std::vector<Var> g = gradients(loss, parameters);
  std::vector<ParameterGradient> pairs;
  for (std::size_t i = 0; i < parameters.size(); ++i) pairs.push_back({parameters[i], g[i]});
  step(pairs, learning_rate);
}

Var Optimizer::updated(const State& parameter, Var gradient, const Operand& learning_rate,
                       std::optional<Var> count) const {
  Tape& tape = gradient.tape();
  // bf16 has no number between 0.996 and 1: averages with a decay of 0.999 would stand still.
  const bool rounded = parameter.type().dtype == DType::bf16;
  const Var w = rounded ? cast(tape.read(parameter), DType::f32) : tape.read(parameter);
  if (rounded) gradient = as_dtype(gradient, tape, DType::f32);
  Var rate = as_dtype(learning_rate, tape, w.dtype());
  const auto group = std::ranges::find_if(
      options_.groups, [&](const ParameterGroup& g) { return matches(g.pattern, parameter.name()); });
  const bool grouped = group != options_.groups.end();
  const UpdateRule& rule = grouped && group->rule ? *group->rule : *rule_;
  const bool decoupled = options_.decoupled || rule.decoupled_decay();
  double decay = options_.weight_decay != 0 ? options_.weight_decay : rule.decoupled_decay().value_or(0);
  if (grouped) {
    if (group->learning_rate_scale != 1) rate = rate * group->learning_rate_scale;
    if (group->learning_rate) rate = group->learning_rate(rate);
    decay = group->weight_decay.value_or(decay);
  }
  const bool by_rule = rule.decays_weights();
  if (decay != 0 && !decoupled && !by_rule) gradient = gradient + decay * w;
  if (count) count = cast(*count, w.dtype());
  const Slots slots(state_, options_.name, parameter.name(), w, count, decay);
  Var next = rule.update(w, gradient, rate, slots);
  if (decay != 0 && decoupled && !by_rule) next = next - (rate * decay) * w;
  if (options_.lookahead) next = looked_ahead(*options_.lookahead, w, next, slots);
  return rounded ? cast(next, DType::bf16) : next;
}

bool matches(std::string_view pattern, std::string_view name) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t i = star; i <= name.size(); ++i) {
    if (matches(rest, name.substr(i))) return true;
  }
  return false;
}

}  // namespace tapestry
