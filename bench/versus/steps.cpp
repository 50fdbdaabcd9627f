#include "training.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/optim/adaptive.hpp>

#include <memory>

namespace versus {
namespace {

using namespace tapestry;

Run training(std::int64_t hidden, std::int64_t batch) {
  const ImageSet images = noise();
  auto model = std::make_unique<FullyConnectedNet>(
      FullyConnectedOptions{.hidden = {hidden, hidden, hidden}, .normalization = Normalization::batch});
  const Optimizer adam(model->state(), Adam{});
  const auto all =
      std::make_shared<Training>(std::move(model), images, mean_image(images), batch, adam, 1e-3f);
  return [all] { all->once(); };
}

/// Records, differentiates and compiles the notebook's step. The model's parameters and moments are there
/// already.
Run compilation() {
  struct Parts {
    FullyConnectedNet model{{.normalization = Normalization::batch}};
    Optimizer optimizer{model.state(), Adam{}};
  };
  const auto parts = std::make_shared<Parts>();
  return
      [parts] { training_step(parts->model, parts->optimizer).program(training_types(parts->model, 100)); };
}

/// The same for a chain whose graph, gradients included, is of about 100,000 nodes: 12,500 layers of a
/// product, a sum and a tanh.
Run compilation_100k() {
  return [] {
    Tape tape;
    const Var x = tape.input("x", {DType::f32, {8, 8}}), w = tape.input("w", {DType::f32, {8, 8}});
    const Var b = tape.input("b", {DType::f32, {8}});
    Var h = x;
    for (int i = 0; i < 8'400; ++i) h = tanh(matmul(h, w) + b);
    const std::vector<Var> wrt{x, w, b};
    const std::vector<Var> g = gradients(sum(h), wrt);
    require(tape.graph().size() >= 100'000, "the graph has ", tape.graph().size(), " nodes");
    compile(tape, g);
  };
}

}  // namespace

std::vector<Case> step_cases() {
  return {
      {"step/notebook", [] { return training(500, 100); }},
      {"step/batch_1000", [] { return training(500, 1000); }},
      {"step/hidden_2048", [] { return training(2048, 100); }},
      {"compile/notebook", compilation},
      {"compile/100k_nodes", compilation_100k},
  };
}

}  // namespace versus
