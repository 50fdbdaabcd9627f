// State: everything that outlives a step. Parameters, running statistics, optimizer moments, the step count
// and the random key are all State; a checkpoint is all State.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tapestry {

enum class StateKind : std::uint8_t {
  parameter,  // trained by an optimizer
  statistic,  // updated by the model itself: running means, the random key
  optimizer,  // moments, velocities, step counts
};

/// A handle to one named tensor. Copies name the same tensor; moving one copies it.
class State {
 public:
  State(std::string name, Tensor value, StateKind kind = StateKind::parameter)
      : slot_(std::make_shared<Slot>(Slot{std::move(name), std::move(value), kind})) {}
  State(const State&) = default;
  State& operator=(const State&) = default;
  ~State() = default;

  const std::string& name() const { return slot_->name; }
  StateKind kind() const { return slot_->kind; }
  const Type& type() const { return slot_->value.type(); }
  const Tensor& value() const { return slot_->value; }
  /// Replaces the value; throws if dtype or shape differ.
  void set(Tensor value) const;
  /// Where a compiled program writes the next value.
  void* mutable_data() const { return slot_->value.mutable_data(); }

  /// Identity: which tensor this is.
  const void* id() const { return slot_.get(); }
  friend bool operator==(const State& a, const State& b) { return a.slot_ == b.slot_; }

 private:
  struct Slot {
    std::string name;
    Tensor value;
    StateKind kind;
  };
  std::shared_ptr<Slot> slot_;
};

/// State by name, in order of creation.
class StateDict {
 public:
  /// Throws if the name is taken.
  State create(std::string name, Tensor value, StateKind kind = StateKind::parameter);
  void add(const State& state);

  const State* find(std::string_view name) const;
  /// Throws, naming what there is, if there is no such name.
  const State& at(std::string_view name) const;

  const std::vector<State>& all() const { return all_; }
  std::vector<State> parameters() const { return of_kind(StateKind::parameter); }
  std::vector<State> of_kind(StateKind kind) const;
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }
  std::size_t size() const { return all_.size(); }

 private:
  std::vector<State> all_;
  std::unordered_map<std::string, std::size_t> index_;
};

/// The number of trained values.
std::int64_t parameter_count(const StateDict& state);

}  // namespace tapestry
