// Averages of weights over the steps: they often do better than the last weights, and cost nothing but
// memory.
#pragma once

#include <tapestry/core/state.hpp>
#include <tapestry/core/tape.hpp>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tapestry {

/// t <- t + 1;  average <- average + (1 - decay)/(1 - decay^t) (w - average)
///
/// An exponential moving average without bias towards its start: after step t the sum of decay^(t - i) w_i
/// over the steps i up to t, divided by that of its weights, as in Adam. That of fc1/weight is the state
/// "ema/fc1/weight".
class ExponentialMovingAverage {
 public:
  static constexpr std::string_view kName = "ema";
  /// Keeps the averages in `state`, which must outlive it. 0 <= decay < 1.
  ExponentialMovingAverage(StateDict& state, double decay, std::string name = std::string(kName));

  /// Declares the averages' update by the values that `states`, all floating, have on the tape by now: after
  /// the optimizer's step.
  void step(Tape& tape, std::span<const State> states, Location at = Location::current()) const;

  /// What is averaged of a model: the parameters, and the statistics that the tape changes. Running means of
  /// what averaged weights make are not those of the last weights.
  static std::vector<State> averaged(const Tape& tape, std::span<const State> states);

  double decay() const { return decay_; }
  /// The state's average, if there is one by now.
  const State* find(const State& state) const;

 private:
  StateDict* state_;
  double decay_;
  std::string name_;
};

/// While it lives, each of `states` that has an average holds it in place of its own value. Before the first
/// step there are none. Nobody should train meanwhile.
class UseAverages {
 public:
  UseAverages(const ExponentialMovingAverage& average, std::span<const State> states);
  ~UseAverages();
  UseAverages(const UseAverages&) = delete;
  UseAverages& operator=(const UseAverages&) = delete;

 private:
  std::vector<std::pair<State, Tensor>> own_;
};

}  // namespace tapestry
