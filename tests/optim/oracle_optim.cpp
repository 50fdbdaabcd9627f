// Update rules against the trajectories of tests/oracle/families/optim.py: parameters and the rules' own
// arrays after each of five steps.
#include "../support/oracle.hpp"

#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/sgd.hpp>

#include <functional>
#include <map>
#include <set>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

constexpr int kSteps = 5;

using Make = std::function<Optimizer(StateDict&)>;

struct Settings {
  Make make;
  double learning_rate = 1e-2;  // unless the case has one for each step
};

template <class Rule>
Settings with(Rule rule, OptimizerOptions options = {}, double learning_rate = 1e-2) {
  return {[=](StateDict& state) { return Optimizer(state, rule, options); }, learning_rate};
}

/// The cases that all rules have.
template <class Rule>
void add(std::map<std::string, Settings>& table, Rule rule) {
  const std::string name = rule.name() + '/';
  table[name + "plain"] = table[name + "changing_rate"] = table[name + "zero_gradients"] = with(rule);
  table[name + "weight_decay"] = with(rule, {.weight_decay = 0.1});
  table[name + "decoupled_weight_decay"] = with(rule, {.weight_decay = 0.1, .decoupled = true});
  table[name + "clipped"] = with(rule, {.clip_norm = 0.9});
  table[name + "group"] = with(rule, {.weight_decay = 0.1, .decoupled = true, .groups = {{"b", 0.25, 0.0}}});
}

std::map<std::string, Settings> table() {
  std::map<std::string, Settings> t;
  add(t, Sgd{});
  add(t, Momentum{});
  add(t, Nesterov{});
  add(t, RmsProp{});
  add(t, Adam{});
  add(t, AccumulatedMomentum{});
  add(t, Lamb(0));
  t["momentum/momentum_0.5"] = with(Momentum(0.5));
  t["nesterov/momentum_0.99"] = with(Nesterov(0.99));
  t["rmsprop/decay_0.9"] = with(RmsProp(0.9, 1e-6));
  t["adam/betas"] = with(Adam(0.5, 0.9, 1e-6), {}, 1e-3);
  t["adam/clipped_and_decayed"] = with(Adam{}, {.weight_decay = 0.05, .decoupled = true, .clip_norm = 0.5});
  t["sgd/clip_not_reached"] = with(Sgd{}, {.clip_norm = 100.0});
  t["accumulated_momentum/nesterov"] = with(AccumulatedMomentum(0.85, true));
  t["accumulated_momentum/nesterov_decayed"] = with(AccumulatedMomentum(0.9, true), {.weight_decay = 0.1});
  t["lamb/betas"] = with(Lamb(0.01, Adam(0.5, 0.9, 1e-3)), {}, 1e-1);
  t["lamb/zero_weights"] = with(Lamb(0.1));
  return t;
}

class Trajectory {
 public:
  Trajectory(const SafetensorsFile& file, std::string name, const Settings& settings)
      : file_(file), name_(std::move(name)), settings_(settings), optimizer_(settings.make(state_)) {
    for (const char* p : {"w", "b"}) parameters_.push_back(state_.create(p, at(p)));
  }

  /// One compiled step, run five times.
  void run() {
    Tape tape;
    record_step(tape, "");
    Program program = compile(tape, {}, {.verify = true});
    for (int step = 1; step <= kSteps; ++step) {
      program.run(arguments(step));
      compare(step);
    }
  }

  /// Five steps in one program.
  void run_unrolled() {
    Tape tape;
    std::vector<Tensor> all;
    for (int step = 1; step <= kSteps; ++step) {
      record_step(tape, std::to_string(step));
      for (Tensor& argument : arguments(step)) all.push_back(std::move(argument));
    }
    compile(tape, {}, {.verify = true}).run(all);
    compare(kSteps);
  }

 private:
  const Tensor& at(const std::string& what) const {
    const Tensor* found = file_.find(name_ + '/' + what);
    require(found != nullptr, name_, '/', what, " is not among the vectors");
    return *found;
  }

  void record_step(Tape& tape, const std::string& suffix) {
    std::vector<ParameterGradient> pairs;
    for (const State& p : parameters_)
      pairs.push_back({p, tape.input("grad_" + p.name() + suffix, p.type())});
    optimizer_.step(pairs, tape.input("learning_rate" + suffix, {DType::f64, {}}));
  }

  std::vector<Tensor> arguments(int step) const {
    const std::string prefix = text("step", step, '/');
    const Tensor* rate = file_.find(name_ + '/' + prefix + "learning_rate");
    return {at(prefix + "grad_w"), at(prefix + "grad_b"),
            rate ? *rate : Tensor::scalar(settings_.learning_rate)};
  }

  /// "step3/v_w" is the state "adam/w/v", "step3/w" the parameter itself.
  void compare(int step) const {
    const std::string rule = optimizer_.rule().name() + '/';
    std::set<std::string> expected;
    const std::string prefix = text(name_, "/step", step, '/');
    for (const auto& [name, tensor] : file_.tensors) {
      if (!name.starts_with(prefix)) continue;
      const std::string what = name.substr(prefix.size());
      if (what.starts_with("grad_") || what == "learning_rate") continue;
      const std::size_t bar = what.find('_');
      const std::string key =
          bar == std::string::npos ? what : rule + what.substr(bar + 1) + '/' + what.substr(0, bar);
      expected.insert(key);
      const State* state = state_.find(key);
      BOOST_REQUIRE_MESSAGE(state, name << ": no state " << key);
      const std::string wrong = oracle::difference(state->value(), tensor);
      BOOST_TEST(wrong.empty(), name << ": " << wrong);
    }
    for (const State& state : state_) {
      if (state.name() == rule + "t") {
        BOOST_TEST(state.value().item() == step, prefix + state.name());
      } else {
        BOOST_TEST(expected.contains(state.name()), prefix + state.name() + " is not among the vectors");
      }
    }
  }

  const SafetensorsFile& file_;
  std::string name_;
  const Settings& settings_;
  StateDict state_;
  Optimizer optimizer_;
  std::vector<State> parameters_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_optim)

BOOST_AUTO_TEST_CASE(trajectories) {
  const SafetensorsFile file = load_safetensors(oracle::vectors("optim"));
  const auto settings = table();
  for (const auto& [name, attributes] : file.metadata)
    BOOST_TEST(settings.contains(name), name << ": among the vectors, but not in the table");
  for (const auto& [name, how] : settings) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(file.metadata.contains(name), name << ": in the table, but not among the vectors");
      Trajectory(file, name, how).run();
      Trajectory(file, name, how).run_unrolled();
    }
  }
}

BOOST_AUTO_TEST_CASE(adamw_is_adam_with_decoupled_decay) {
  const SafetensorsFile file = load_safetensors(oracle::vectors("optim"));
  const auto as_adam = [&](StateDict& state) { return Optimizer(state, AdamW(0.1)); };
  StateDict state;
  const State w = state.create("w", *file.find("adam/decoupled_weight_decay/w"));
  const Optimizer optimizer = as_adam(state);
  Tape tape;
  const ParameterGradient pair{w, tape.input("grad", w.type())};
  optimizer.step({&pair, 1}, 1e-2);
  Program program = compile(tape, {});
  for (int step = 1; step <= kSteps; ++step) {
    const std::string prefix = text("adam/decoupled_weight_decay/step", step, '/');
    program.run({{*file.find(prefix + "grad_w")}});
    BOOST_TEST(oracle::difference(w.value(), *file.find(prefix + "w")) == "", "step " << step);
  }
}

BOOST_AUTO_TEST_SUITE_END()
