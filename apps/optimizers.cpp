#include "optimizers.hpp"

#include "entries.hpp"

#include <tapestry/models/speedrun.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/muon.hpp>
#include <tapestry/optim/sgd.hpp>

namespace tapestry::app {
namespace {

Adam adam(const Config& c) { return Adam(c.beta1, c.beta2, c.epsilon); }

Optimizer sgd(const Config&, StateDict& state, OptimizerOptions options) { return {state, Sgd{}, options}; }
Optimizer momentum(const Config& c, StateDict& state, OptimizerOptions options) {
  return {state, Momentum(c.momentum), options};
}
Optimizer nesterov(const Config& c, StateDict& state, OptimizerOptions options) {
  return {state, Nesterov(c.momentum), options};
}
Optimizer rmsprop(const Config& c, StateDict& state, OptimizerOptions options) {
  return {state, RmsProp(c.decay, c.epsilon), options};
}
Optimizer adam(const Config& c, StateDict& state, OptimizerOptions options) {
  return {state, adam(c), options};
}
// These are told by their rule how much weights decay.
Optimizer adamw(const Config& c, StateDict& state, OptimizerOptions options) {
  options.weight_decay = 0;
  return {state, AdamW(c.weight_decay, adam(c)), options};
}
Optimizer lamb(const Config& c, StateDict& state, OptimizerOptions options) {
  options.weight_decay = 0;
  return {state, Lamb(c.weight_decay, adam(c)), options};
}
Optimizer muon(const Config& c, StateDict& state, OptimizerOptions options) {
  Muon rule;
  rule.momentum = c.momentum;
  return muon_optimizer(state, state.parameters(), rule, std::make_shared<Adam>(adam(c)), options);
}
Optimizer speedrun(const Config& c, StateDict& state, OptimizerOptions options) {
  demand(c.model == "speedrun", "--optimizer speedrun is for --model speedrun");
  options.weight_decay = 0;
  return speedrun_optimizer(state, c.batch_size, c.epochs, options);
}

const std::vector<OptimizerEntry>& all() {
  static const std::vector<OptimizerEntry> kOptimizers = {
      {.name = "sgd", .make = sgd, .takes = {"weight-decay"}},
      {.name = "momentum", .make = momentum, .takes = {"momentum", "weight-decay"}},
      {.name = "nesterov", .make = nesterov, .takes = {"momentum", "weight-decay"}},
      {.name = "rmsprop", .make = rmsprop, .takes = {"decay", "epsilon", "weight-decay"}},
      {.name = "adam", .make = adam, .takes = {"beta1", "beta2", "epsilon", "weight-decay"}},
      {.name = "adamw",
       .make = adamw,
       .takes = {"beta1", "beta2", "epsilon", "weight-decay"},
       .own = {{"weight-decay", shown(AdamW{}.weight_decay)}}},
      {.name = "lamb",
       .make = lamb,
       .takes = {"beta1", "beta2", "epsilon", "weight-decay"},
       .own = {{"weight-decay", shown(Lamb{}.weight_decay)}, {"epsilon", shown(Lamb{}.adam.epsilon)}}},
      {.name = "muon",
       .make = muon,
       .takes = {"momentum", "beta1", "beta2", "epsilon", "weight-decay"},
       .own = {{"momentum", shown(Muon{}.momentum)}}},
      {.name = "speedrun", .make = speedrun, .takes = {}},
  };
  return kOptimizers;
}

}  // namespace

std::span<const OptimizerEntry> optimizers() { return all(); }

const OptimizerEntry& optimizer_entry(const std::string& name) {
  return entry_named(optimizers(), "--optimizer", name);
}

bool takes(const OptimizerEntry& optimizer, std::string_view setting) {
  return takes(optimizers(), optimizer, setting);
}

std::string for_optimizers(std::string_view setting) { return for_those(optimizers(), setting); }

}  // namespace tapestry::app
