// What holds of every net for images: small ones of each kind, on drawn images.
#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/resnet.hpp>
#include <tapestry/models/three_layer.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/models/vision_transformer.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/tests/support/restore_threads.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <memory>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

namespace {

struct Kind {
  const char* name;
  std::unique_ptr<Model> (*make)(DType dtype, std::int64_t side);
};

std::unique_ptr<Model> residual(ResNetOptions options, DType dtype, std::int64_t side) {
  options.dtype = dtype;
  options.side = side;
  options.seed = 3;
  return std::make_unique<ResNet>(options);
}

const Kind kKinds[] = {
    {"three_layer",
     [](DType dtype, std::int64_t side) -> std::unique_ptr<Model> {
       return std::make_unique<ThreeLayerConvNet>(ThreeLayerOptions{.filters = 4,
                                                                    .filter_size = 3,
                                                                    .hidden = 20,
                                                                    .side = side,
                                                                    .reg = 0.01,
                                                                    .dtype = dtype,
                                                                    .seed = 3});
     }},
    {"padded shortcuts",
     [](DType dtype, std::int64_t side) { return residual(ResNetOptions::cifar(8, 4), dtype, side); }},
    {"projected shortcuts",
     [](DType dtype, std::int64_t side) {
       return residual({.blocks = {1, 2}, .widths = {4, 8}, .shortcut = Shortcut::project}, dtype, side);
     }},
    {"vit",
     [](DType dtype, std::int64_t side) -> std::unique_ptr<Model> {
       return std::make_unique<VisionTransformer>(VisionTransformerOptions{
           .side = side, .width = 12, .depth = 2, .heads = 3, .mlp_width = 20, .dtype = dtype, .seed = 3});
     }},
};

constexpr std::int64_t kBatch = 20, kSteps = 20;

struct How {
  int threads = 2;
  int stop_after = -1;
  fs::path from{}, to{};
};

std::unique_ptr<Model> trained(const Kind& kind, const How& how = {}) {
  const RestoreThreads restore;
  set_thread_count(how.threads);
  std::unique_ptr<Model> model = kind.make(DType::f32, 32);
  TrainerOptions options{
      .epochs = kSteps / (200 / kBatch),
      .batch_size = kBatch,
      .learning_rate = 3e-3,
      .train_samples = 20,
      .augment = {Flip::random, 2, Border::zero, 0},
      .pixels = normalized_channels({32, 32, 3}, kCifar10ChannelMeans, kCifar10ChannelDeviations)};
  options.should_stop = [steps = 0, stop = how.stop_after]() mutable { return ++steps == stop; };
  Trainer trainer(*model, small_split(), Optimizer(model->state(), AdamW(0.01)), options);
  if (!how.from.empty()) trainer.resume(how.from);
  trainer.train();
  if (!how.to.empty()) trainer.save(how.to);
  return model;
}

void check_same(const Model& a, const Model& b) {
  BOOST_REQUIRE(a.state().size() == b.state().size());
  for (const State& s : a.state()) BOOST_TEST(identical(s.value(), b.state().at(s.name()).value()), s.name());
}

Tensor scores(const Model& model, const Tensor& images) {
  Function logits([&](Var x) { return model.logits(x, Mode::evaluate); });
  return logits(images);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(image_nets)

// The papers' numbers, scales and shifts of batch norms included.
BOOST_AUTO_TEST_CASE(numbers_of_parameters) {
  const auto count = [](const ResNetOptions& options) { return parameter_count(ResNet(options).state()); };
  BOOST_TEST(count(ResNetOptions::cifar(20)) == 269'722);
  BOOST_TEST(count(ResNetOptions::cifar(32)) == 464'154);
  BOOST_TEST(count(ResNetOptions::cifar(56)) == 853'018);
  BOOST_TEST(count(ResNetOptions::resnet18()) == 11'173'962);
  // 4*4*3*128 + 128 of patches, 64*128 positions, 6 blocks of 4*(128*128 + 128) + 2*2*128 + 128*256 + 256 +
  // 256*128 + 128, 2*128 + 128*10 + 10
  BOOST_TEST(parameter_count(VisionTransformer().state()) == 6272 + 8192 + 6 * 132'480 + 1546);
  // 7*7*3*32 + 32, 16*16*32*500 + 500, 500*10 + 10
  BOOST_TEST(parameter_count(ThreeLayerConvNet().state()) == 4'106'246);
}

BOOST_AUTO_TEST_CASE(a_row_of_scores_for_each_image) {
  for (const Kind& kind : kKinds) {
    for (const std::int64_t side : {8, 32}) {
      const auto model = kind.make(DType::f32, side);
      for (const std::int64_t batch : {1, 3}) {
        Tape tape;
        const Var x = tape.input("x", {DType::f32, {batch, side, side, 3}});
        for (const Mode mode : {Mode::train, Mode::evaluate})
          BOOST_TEST(model->logits(x, mode).shape() == (Shape{batch, 10}), kind.name);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_are_right) {
  for (const Kind& kind : kKinds) {
    const auto model = kind.make(DType::f64, 8);
    Random random(7, 0);
    Tensor images(DType::f64, {3, 8, 8, 3});
    for (double& pixel : images.mutable_values<double>()) pixel = random.normal();
    const Tensor labels = Tensor::from<std::int64_t>({3, 9, 0}, {3});
    // Small steps: relus have kinks.
    const auto checks = check_gradients(
        [&](Tape& tape) { return model->loss(tape.constant(images), tape.constant(labels), Mode::train); },
        model->state().parameters(), {.step = 1e-6, .elementwise_limit = 12});
    BOOST_TEST(checks.size() == model->state().parameters().size());
    for (std::size_t i = 0; i < checks.size(); ++i) {
      BOOST_TEST(checks[i].comparisons > 0, kind.name);
      BOOST_TEST(checks[i].passes(1e-5), kind.name << ": " << checks[i].describe());
    }
  }
}

BOOST_AUTO_TEST_CASE(learns_a_batch_by_heart) {
  const Initializer init(5);
  const Tensor images = init.normal("images", {10, 32, 32, 3}, 1), rate = Tensor::scalar(3e-3f);
  const Tensor labels = Tensor::from<std::int64_t>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10});
  for (const Kind& kind : kKinds) {
    const auto model = kind.make(DType::f32, 32);
    Function step = training_step(*model, Optimizer(model->state(), Adam()));
    const double first = step(images, labels, rate).item();
    double last = first;
    for (int i = 0; i < 40; ++i) last = step(images, labels, rate).item();
    BOOST_TEST(last < first / 2, kind.name << ": " << first << " to " << last);
  }
}

BOOST_AUTO_TEST_CASE(the_penalty_is_of_all_weights) {
  const auto loss = [](double reg) {
    const ThreeLayerConvNet net(
        {.filters = 2, .filter_size = 3, .hidden = 4, .side = 8, .reg = reg, .dtype = DType::f64});
    double squares = 0;
    for (const State& s : net.state()) {
      if (!s.name().ends_with("/weight")) continue;
      for (const double w : s.value().values<double>()) squares += w * w;
    }
    Function value([&](Var x, Var labels) { return net.loss(x, labels, Mode::evaluate); });
    const Tensor images = Initializer(2, DType::f64).normal("images", {2, 8, 8, 3}, 1);
    return std::pair(value(images, Tensor::from<std::int64_t>({1, 2}, {2})).item(), squares);
  };
  const auto [without, squares] = loss(0);
  BOOST_TEST(loss(0.3).first - without == 0.15 * squares, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(an_image_has_the_same_scores_alone) {
  const Tensor images = Initializer(5).normal("images", {6, 32, 32, 3}, 1);
  for (const Kind& kind : kKinds) {
    const auto model = trained(kind);
    const Tensor together = scores(*model, images);
    const auto pixels = images.values<float>();
    for (std::int64_t i = 0; i < 6; ++i) {
      Tensor image(DType::f32, {1, 32, 32, 3});
      const auto one = image.mutable_values<float>();
      std::copy_n(pixels.begin() + i * std::int64_t(one.size()), one.size(), one.begin());
      const Tensor alone = scores(*model, image);
      for (std::int64_t c = 0; c < 10; ++c) {
        BOOST_TEST(std::abs(alone.at(c) - together.at(i * 10 + c)) < 1e-5 * (1 + std::abs(alone.at(c))),
                   kind.name);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(same_bits_with_any_number_of_threads_and_when_resumed) {
  for (const Kind& kind : kKinds) {
    const auto whole = trained(kind);
    for (const int threads : {1, 3}) {
      BOOST_TEST_CONTEXT(kind.name << ", " << threads << " threads") {
        check_same(*whole, *trained(kind, {.threads = threads}));
      }
    }
    const TemporaryFolder folder;
    trained(kind, {.stop_after = 7, .to = folder / "last"});
    BOOST_TEST_CONTEXT(kind.name << ", resumed") {
      check_same(*whole, *trained(kind, {.from = folder / "last"}));
    }
  }
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_TEST(thrown([] { ResNetOptions::cifar(21); }) ==
             "a residual net for CIFAR-10 has 6n + 2 layers, not 21");
  BOOST_TEST(thrown([] { ResNet({.blocks = {1}}); }) ==
             "a residual net needs a width for each stage, not 3 for 1");
  BOOST_TEST(thrown([] { ThreeLayerConvNet({.side = 9}); }) ==
             "a three-layer net halves images of 9 pixels a side, which must be an even number");
}

BOOST_AUTO_TEST_SUITE_END()
