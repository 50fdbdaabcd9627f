#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/optim/average.hpp>

namespace tapestry {

ExponentialMovingAverage::ExponentialMovingAverage(StateDict& state, double decay, std::string name)
    : state_(&state), decay_(decay), name_(std::move(name)) {
  require(decay >= 0 && decay < 1, "the decay of an average is at least 0 and below 1, not ", decay);
}

void ExponentialMovingAverage::step(Tape& tape, std::span<const State> states, Location at) const {
  const Scope scope(tape, name_, at);
  const std::string count = name_ + "/t";
  if (!state_->find(count)) state_->create(count, Tensor::scalar(std::int64_t{0}), StateKind::optimizer);
  const Var t = tape.read(state_->at(count)) + 1;
  tape.write(state_->at(count), t);
  // In f64: 1 - decay would lose half its digits in f32.
  const Var rate = (1 - decay_) / (1 - pow(decay_, cast(t, DType::f64)));
  for (const State& each : states) {
    const Scope part(tape, each.name(), at);
    const std::string name = name_ + '/' + each.name();
    if (!state_->find(name)) state_->create(name, Tensor(each.type()), StateKind::optimizer);
    const Var average = tape.read(state_->at(name));
    const Var own_rate = each.type().dtype == DType::f64 ? rate : cast(rate, each.type().dtype);
    tape.write(state_->at(name), average + own_rate * (tape.read(each) - average));
  }
}

std::vector<State> ExponentialMovingAverage::averaged(const Tape& tape, std::span<const State> states) {
  std::vector<State> chosen;
  for (const State& each : states) {
    if (each.kind() != StateKind::optimizer && is_floating(each.type().dtype) && tape.is_written(each))
      chosen.push_back(each);
  }
  return chosen;
}

const State* ExponentialMovingAverage::find(const State& state) const {
  const State* count = state_->find(name_ + "/t");
  if (!count || count->value().item() == 0) return nullptr;
  return state_->find(name_ + '/' + state.name());
}

UseAverages::UseAverages(const ExponentialMovingAverage& average, std::span<const State> states) {
  for (const State& state : states) {
    const State* mean = average.find(state);
    if (!mean) continue;
    own_.emplace_back(state, state.value());
    state.set(mean->value());
  }
}

UseAverages::~UseAverages() {
  for (auto& [state, value] : own_) state.set(std::move(value));
}

}  // namespace tapestry
