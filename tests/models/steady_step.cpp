// A training step, once the first epoch has warmed everything up, allocates nothing: neither the step itself
// nor the loading of the next batch, the choice of an epoch's order, the metrics log or the progress bar.
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/models/report/metrics_log.hpp>
#include <tapestry/models/report/progress.hpp>
#include <tapestry/models/resnet.hpp>
#include <tapestry/models/speedrun.hpp>
#include <tapestry/models/three_layer.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/models/vision_transformer.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/average.hpp>
#include <tapestry/optim/muon.hpp>
#include <tapestry/optim/sgd.hpp>
#include <tapestry/tests/support/allocations.hpp>
#include <tapestry/tests/support/restore_threads.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/use_onednn.hpp>

#include <fstream>
#include <memory>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

struct Counted {
  std::size_t steps = 0, allocations = 0;
};

/// The steps of cifar_train, as its train_run() sets them up; those after the first epoch are counted, but
/// for each epoch's first, before which accuracies are taken and the best parameters kept.
Counted run(Model& net, Optimizer optimizer, int threads, const Augmentation& augment = {},
            std::optional<ExponentialMovingAverage> average = {}, Precision precision = Precision::f32) {
  const RestoreThreads restore;
  set_thread_count(threads);
  const TemporaryFolder folder;
  MetricsLog log(folder.path(), metrics_columns(), MetricsLog::Existing::replace);
  std::ofstream nowhere("/dev/null");
  Progress progress(nowhere, {.interactive = true}, 4, 20);
  Counted counted;
  std::size_t before = 0;
  TrainerOptions options{
      .epochs = 4, .batch_size = 10, .lr_decay = 0.9, .train_samples = 20, .augment = augment};
  options.average = std::move(average);
  options.precision = precision;
  options.on_step = [&](const StepReport& step) {
    log.append({{"kind", "step"},
                {"epoch", step.epoch},
                {"iteration", step.iteration},
                {"loss", step.loss},
                {"learning_rate", step.learning_rate},
                {"seconds", 0.5}});
    progress.step(step.epoch, step.iteration - (step.epoch - 1) * 20, step.loss);
    const std::size_t now = allocations();
    if (step.epoch > 1 && step.iteration % 20 != 1) {
      ++counted.steps;
      counted.allocations += now - before;
      BOOST_TEST(now - before == 0u, "step " << step.iteration);
    }
    before = allocations();
  };
  Trainer trainer(net, small_split(), std::move(optimizer), options);
  trainer.train();
  return counted;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(steady_step)

BOOST_AUTO_TEST_CASE(allocates_nothing) {
  for (const int threads : {1, 2, 4}) {
    for (const Normalization normalization : {Normalization::batch, Normalization::layer}) {
      FullyConnectedNet net({.hidden = {100, 50}, .normalization = normalization, .keep = 0.8, .reg = 1e-3});
      const auto rule = normalization == Normalization::batch ? std::shared_ptr<const UpdateRule>(new Adam())
                                                              : std::make_shared<Momentum>();
      const Counted counted = run(net, {net.state(), rule, {.clip_norm = 1.0}}, threads);
      BOOST_TEST(counted.steps == 57u);
    }
  }
}

BOOST_AUTO_TEST_CASE(allocates_nothing_where_images_are_augmented) {
  for (const Flip flip : {Flip::random, Flip::alternating}) {
    for (const Border border : {Border::reflect, Border::zero}) {
      FullyConnectedNet net({.hidden = {50}});
      const Counted counted = run(net, {net.state(), Adam{}}, 2, {flip, 2, border, 8});
      BOOST_TEST(counted.steps == 57u);
    }
  }
}

BOOST_AUTO_TEST_CASE(allocates_nothing_with_other_rules_and_averages) {
  for (const bool muon : {false, true}) {
    for (const int threads : {1, 3}) {
      FullyConnectedNet net({.hidden = {100, 50}, .normalization = Normalization::batch});
      const OptimizerOptions options{.weight_decay = 0.1, .lookahead = Lookahead{}};
      const Optimizer optimizer =
          muon ? muon_optimizer(net.state(), net.state().parameters(), {}, std::make_shared<Adam>(), options)
               : Optimizer(net.state(), Lamb{}, options);
      const Counted counted = run(net, optimizer, threads, {}, ExponentialMovingAverage(net.state(), 0.99));
      BOOST_TEST(counted.steps == 57u);
    }
  }
}

// Convolutions by oneDNN, whose calls make maps of their arguments, are the exception.
BOOST_AUTO_TEST_CASE(allocates_nothing_in_nets_of_images) {
  const UseOneDnn without(false);
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    std::vector<std::unique_ptr<Model>> nets;
    nets.push_back(std::make_unique<ThreeLayerConvNet>(ThreeLayerOptions{.filters = 8, .hidden = 20}));
    nets.push_back(std::make_unique<ResNet>(ResNetOptions::cifar(8, 4)));
    nets.push_back(std::make_unique<SpeedrunNet>(SpeedrunOptions{.widths = {4, 8, 8}}));
    nets.push_back(std::make_unique<VisionTransformer>(
        VisionTransformerOptions{.width = 16, .depth = 2, .mlp_width = 32}));
    for (const std::unique_ptr<Model>& net : nets) {
      BOOST_TEST_CONTEXT(net->name()) {
        const Counted counted = run(*net, {net->state(), Adam{}}, 3, {}, {}, precision);
        BOOST_TEST(counted.steps == 57u);
      }
    }
  }
}

// The count sees C++, C and other threads.
BOOST_AUTO_TEST_CASE(allocations_are_seen) {
  const auto allocated_by = [](auto&& f) {
    const std::size_t before = allocations();
    f();
    return allocations() - before;
  };
  void* volatile kept = nullptr;
  BOOST_TEST(allocated_by([&] { kept = ::operator new(100); }) == 1u);
  ::operator delete(kept);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  BOOST_TEST(allocated_by([&] { kept = std::malloc(100); }) == 1u);
  std::free(kept);
#endif
  BackgroundTask task;
  task.start([] {});
  task.wait();
  int* volatile number = nullptr;
  BOOST_TEST(allocated_by([&] {
               task.start([&] { number = new int(1); });
               task.wait();
             }) >= 1u);
  delete number;
}

BOOST_AUTO_TEST_SUITE_END()
