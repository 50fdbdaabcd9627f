#include <tapestry/core/state.hpp>

namespace tapestry {

void State::set(Tensor value) const {
  require(value.type() == type(), "state ", name(), " is ", type(), ", it can't be set to ", value.type());
  slot_->value = std::move(value);
}

State StateDict::create(std::string name, Tensor value, StateKind kind) {
  State state(std::move(name), std::move(value), kind);
  add(state);
  return state;
}

void StateDict::add(const State& state) {
  require(index_.emplace(state.name(), all_.size()).second, "there is already state named ", state.name());
  all_.push_back(state);
}

const State* StateDict::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &all_[it->second];
}

const State& StateDict::at(std::string_view name) const {
  if (const State* state = find(name)) return *state;
  std::string names;
  for (const State& state : all_) names += (names.empty() ? "" : ", ") + state.name();
  fail("there is no state named ", name, "; there is: ", names);
}

std::vector<State> StateDict::of_kind(StateKind kind) const {
  std::vector<State> chosen;
  for (const State& state : all_) {
    if (state.kind() == kind) chosen.push_back(state);
  }
  return chosen;
}

std::int64_t parameter_count(const StateDict& state) {
  std::int64_t count = 0;
  for (const State& parameter : state.parameters()) count += parameter.value().elements();
  return count;
}

}  // namespace tapestry
