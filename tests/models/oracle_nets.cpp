// Small nets for images against the vectors of tests/oracle/families/nets.py: scores, and gradients of all
// parameters.
#include "../support/oracle.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/models/resnet.hpp>
#include <tapestry/models/three_layer.hpp>
#include <tapestry/models/vision_transformer.hpp>

#include <map>
#include <memory>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

std::unique_ptr<Model> residual(Shortcut shortcut) {
  return std::make_unique<ResNet>(ResNetOptions{.blocks = {1, 2},
                                                .widths = {2, 4},
                                                .shortcut = shortcut,
                                                .side = 6,
                                                .classes = 3,
                                                .dtype = DType::f64});
}

std::map<std::string, std::unique_ptr<Model>> nets() {
  std::map<std::string, std::unique_ptr<Model>> all;
  all["three_layer"] = std::make_unique<ThreeLayerConvNet>(ThreeLayerOptions{
      .filters = 2, .filter_size = 3, .hidden = 5, .side = 6, .classes = 3, .dtype = DType::f64});
  all["resnet_pad"] = residual(Shortcut::pad);
  all["resnet_project"] = residual(Shortcut::project);
  all["vit"] = std::make_unique<VisionTransformer>(VisionTransformerOptions{
      .side = 8, .width = 4, .depth = 2, .heads = 2, .mlp_width = 6, .classes = 3, .dtype = DType::f64});
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_nets)

BOOST_AUTO_TEST_CASE(scores_and_gradients) {
  const SafetensorsFile file = load_safetensors(oracle::vectors("nets"));
  const auto all = nets();
  BOOST_TEST(file.metadata.size() == all.size());
  for (const auto& [name, model] : all) {
    BOOST_TEST_CONTEXT(name) {
      const auto at = [&, prefix = name + '/'](const std::string& what) {
        const Tensor* found = file.find(prefix + what);
        BOOST_REQUIRE_MESSAGE(found, prefix << what << " is not among the vectors");
        return *found;
      };
      const auto check = [](const std::string& what, const Tensor& actual, const Tensor& expected) {
        const std::string wrong = oracle::difference(actual, expected);
        BOOST_TEST(wrong.empty(), what << ": " << wrong);
      };
      for (const State& s : model->state()) s.set(at("state/" + s.name()));
      const Tensor x = at("x"), cotangent = at("cotangent");
      const std::vector<State> parameters = model->state().parameters();
      const auto run = [&](Mode mode) {
        Tape tape;
        const Var scores = model->logits(tape.input("x", x.type()), mode);
        std::vector<Var> outputs{scores};
        const auto derived = gradients(scores, parameters, tape.constant(cotangent));
        outputs.insert(outputs.end(), derived.begin(), derived.end());
        Graph graph = tape.take(outputs);
        graph.updates.clear();  // running statistics stay as they are
        Program program(graph, {});
        program.run({{x}});
        return std::vector<Tensor>(program.outputs().begin(), program.outputs().end());
      };
      check("evaluate", run(Mode::evaluate).front(), at("evaluate"));
      const std::vector<Tensor> trained = run(Mode::train);
      check("train", trained.front(), at("train"));
      for (std::size_t i = 0; i < parameters.size(); ++i)
        check(parameters[i].name(), trained[i + 1], at("grad/" + parameters[i].name()));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
