// The batch norm layer against the vectors of tests/oracle/families/layers.py.
#include "../support/oracle.hpp"

#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/models/layers.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

void check(const std::string& name, const Tensor& actual, const Tensor& expected) {
  const std::string wrong = oracle::difference(actual, expected);
  BOOST_TEST(wrong.empty(), name << ": " << wrong);
}

Program traced(const BatchNorm& layer, const Type& type, Mode mode) {
  Tape tape;
  const Var out = layer(tape.input("x", type), mode);
  return compile(tape, {{out}}, {.verify = true});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_layers)

BOOST_AUTO_TEST_CASE(batch_norm_trains_and_evaluates) {
  const SafetensorsFile file = load_safetensors(oracle::vectors("layers"));
  BOOST_TEST(file.metadata.size() == 4u);
  for (const auto& [name, attributes] : file.metadata) {
    const auto at = [&, prefix = name + '/'](const std::string& what) {
      const Tensor* found = file.find(prefix + what);
      BOOST_REQUIRE_MESSAGE(found, prefix << what << " is not among the vectors");
      return *found;
    };
    StateDict state;
    BatchNorm layer(state, "bn", at("gamma").elements(), Initializer(0, DType::f64));
    if (name.ends_with("momentum_0.5")) {
      layer.momentum = 0.5;
      layer.epsilon = 1e-3;
    }
    layer.gamma.set(at("gamma"));
    layer.beta.set(at("beta"));

    Program train = traced(layer, at("step1/x").type(), Mode::train);
    for (const std::string step : {"step1/", "step2/"}) {
      const Tensor x = at(step + "x");
      train.run({{x}});
      check(name + '/' + step + "out", train.output(), at(step + "out"));
      check(name + '/' + step + "running_mean", layer.running_mean.value(), at(step + "running_mean"));
      check(name + '/' + step + "running_var", layer.running_var.value(), at(step + "running_var"));
    }
    Program evaluate = traced(layer, at("evaluate/x").type(), Mode::evaluate);
    const Tensor x = at("evaluate/x");
    evaluate.run({{x}});
    check(name + "/evaluate/out", evaluate.output(), at("evaluate/out"));
    // Evaluation leaves the statistics alone.
    check(name + " after evaluation", layer.running_mean.value(), at("step2/running_mean"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
