#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/sgd.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>
#include <tapestry/tests/support/small_training.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <sstream>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(trainer)

BOOST_AUTO_TEST_CASE(loss_falls_and_histories_are_complete) {
  FullyConnectedNet net = small_net();
  TrainerOptions options = small_options(6);
  std::vector<StepReport> steps;
  std::vector<EpochReport> epochs;
  options.on_step = [&](const StepReport& step) { steps.push_back(step); };
  options.on_epoch = [&](const EpochReport& epoch) { epochs.push_back(epoch); };
  Trainer trainer(net, small_split(), {net.state(), Adam{}}, options);
  BOOST_TEST(trainer.steps_per_epoch() == 5);
  BOOST_TEST(trainer.iterations() == 30);
  BOOST_TEST(trainer.train());
  BOOST_TEST(trainer.iteration() == 30);

  const auto& losses = trainer.loss_history();
  BOOST_REQUIRE(losses.size() == 30u);
  BOOST_TEST(trainer.train_accuracy_history().size() == 7u);
  BOOST_TEST(trainer.validation_accuracy_history().size() == 7u);
  BOOST_TEST(std::abs(losses[0] - std::log(10.0)) < 0.3);
  const auto mean = [&](std::ptrdiff_t first) {
    return std::accumulate(losses.begin() + first, losses.begin() + first + 5, 0.0) / 5;
  };
  BOOST_TEST(mean(25) < mean(0) - 0.05);
  BOOST_TEST(trainer.train_accuracy_history().back() > trainer.train_accuracy_history().front() + 0.3);

  BOOST_REQUIRE(steps.size() == 30u);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    BOOST_TEST(steps[i].iteration == std::int64_t(i) + 1);
    BOOST_TEST(steps[i].epoch == std::int64_t(i) / 5 + 1);
    BOOST_TEST(steps[i].loss == losses[i]);
    BOOST_TEST(std::abs(steps[i].learning_rate - 1e-3 * std::pow(0.9, double(i / 5))) < 1e-15);
  }
  BOOST_REQUIRE(epochs.size() == 7u);
  BOOST_TEST(std::isnan(epochs[0].mean_loss));
  for (std::size_t e = 0; e < 7; ++e) {
    BOOST_TEST(epochs[e].epoch == std::int64_t(e));
    BOOST_TEST(epochs[e].validation_accuracy == trainer.validation_accuracy_history()[e]);
    if (e > 0) BOOST_TEST(std::abs(epochs[e].mean_loss - mean(std::ptrdiff_t(e - 1) * 5)) < 1e-12);
  }
  BOOST_TEST(trainer.best_validation_accuracy() == std::ranges::max(trainer.validation_accuracy_history()));
}

BOOST_AUTO_TEST_CASE(lines_of_the_notebook) {
  FullyConnectedNet net = small_net();
  std::ostringstream out;
  TrainerOptions options = small_options(2);
  options.verbose = &out;
  options.print_every = 4;
  Trainer trainer(net, small_split(), {net.state(), Adam{}}, options);
  trainer.train();
  std::ostringstream expected;
  const auto fixed = [](double value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.6f", value);
    return std::string(digits);
  };
  for (std::size_t i = 0; i <= 10; ++i) {
    if (i % 5 == 0) {
      expected << "(Epoch " << i / 5 << " / 2) train acc: " << fixed(trainer.train_accuracy_history()[i / 5])
               << "; val_acc: " << fixed(trainer.validation_accuracy_history()[i / 5]) << '\n';
    }
    if (i < 10 && i % 4 == 0) {
      expected << "(Iteration " << i + 1 << " / 10) loss: " << fixed(trainer.loss_history()[i]) << '\n';
    }
  }
  BOOST_TEST(out.str() == expected.str());
}

BOOST_AUTO_TEST_CASE(best_parameters_come_back) {
  FullyConnectedNet net = small_net();
  TrainerOptions options = small_options(6);
  // After the third epoch steps so large that what was learnt is lost.
  options.schedule = [](std::int64_t step) { return step < 15 ? 1e-3 : 10.0; };
  std::map<std::string, Tensor> best;
  options.on_epoch = [&](const EpochReport& epoch) {
    if (epoch.best) best = values(net.state());
  };
  Trainer trainer(net, small_split(), {net.state(), Adam{}}, options);
  trainer.train();
  Evaluator evaluator(net, small_split().mean);
  BOOST_TEST(evaluator.accuracy(small_split().validation) < trainer.best_validation_accuracy());
  trainer.use_best();
  BOOST_TEST(evaluator.accuracy(small_split().validation) == trainer.best_validation_accuracy());
  for (const State& state : net.state()) {
    if (state.kind() == StateKind::optimizer) continue;
    BOOST_TEST(std::memcmp(state.value().data(), best.at(state.name()).data(), state.value().bytes()) == 0,
               state.name());
  }
}

BOOST_AUTO_TEST_CASE(averages_are_measured_and_kept_and_disturb_nothing) {
  FullyConnectedNet plain = small_net(), net = small_net();
  Trainer(plain, small_split(), {plain.state(), Adam{}}, small_options()).train();
  const ExponentialMovingAverage average(net.state(), 0.9);
  TrainerOptions options = small_options();
  options.average = average;
  std::map<std::string, Tensor> best;
  options.on_epoch = [&](const EpochReport& epoch) {
    if (!epoch.best) return;
    const UseAverages use(average, net.state().all());
    best = values(net.state());
  };
  Trainer trainer(net, small_split(), {net.state(), Adam{}}, options);
  trainer.train();
  const auto weights = values(net.state());
  for (const auto& [name, value] : values(plain.state())) {
    BOOST_TEST(identical(value, weights.at(name)), name);  // between epochs, too, the steps are the same
    if (name.starts_with("adam/")) continue;
    BOOST_TEST(weights.contains("ema/" + name), name);
    BOOST_TEST(!identical(value, weights.at("ema/" + name)), name);
  }
  Evaluator evaluator(net, small_split().mean);
  {
    const UseAverages use(average, net.state().all());
    BOOST_TEST(evaluator.accuracy(small_split().validation) == trainer.validation_accuracy_history().back());
  }
  trainer.use_best();
  for (const State& s : net.state()) {
    if (s.kind() != StateKind::optimizer) BOOST_TEST(identical(s.value(), best.at(s.name())), s.name());
  }
  BOOST_TEST(evaluator.accuracy(small_split().validation) == trainer.best_validation_accuracy());
}

// As with a rate of 0, but for what their own updates would have kept.
BOOST_AUTO_TEST_CASE(frozen_parameters_stay_and_disturb_nothing) {
  FullyConnectedNet frozen = small_net(), still = small_net(), free = small_net();
  TrainerOptions options = small_options();
  Trainer(free, small_split(), {free.state(), Sgd{}}, options).train();
  Trainer(still, small_split(),
          {still.state(), Sgd{}, {.groups = {{.pattern = "fc1/*", .learning_rate_scale = 0}}}}, options)
      .train();
  options.freeze = {{"fc1/*", 0}};
  Trainer(frozen, small_split(), {frozen.state(), Sgd{}}, options).train();
  check_same(values(still.state()), values(frozen.state()));
  BOOST_TEST(!identical(values(free.state()).at("fc1/weight"), values(frozen.state()).at("fc1/weight")));
}

BOOST_AUTO_TEST_CASE(parameters_freeze_at_the_end_of_their_epoch) {
  FullyConnectedNet model = small_net();
  TrainerOptions options = small_options();
  options.freeze = {{"fc1/*", 1}, {"fc2/bias", 2}};
  std::vector<std::map<std::string, Tensor>> after;
  options.on_epoch = [&](const EpochReport&) { after.push_back(values(model.state())); };
  Trainer(model, small_split(), {model.state(), Adam{}}, options).train();
  BOOST_REQUIRE(after.size() == 4u);
  const auto moves = [&](const std::string& name, std::size_t epoch) {
    return !identical(after[epoch - 1].at(name), after[epoch].at(name));
  };
  for (std::size_t epoch = 1; epoch <= 3; ++epoch) {
    BOOST_TEST(moves("fc1/weight", epoch) == (epoch <= 1));
    BOOST_TEST(moves("fc2/bias", epoch) == (epoch <= 2));
    BOOST_TEST(moves("fc2/weight", epoch));
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  const int usual = thread_count();
  std::map<std::string, Tensor> one;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    FullyConnectedNet net = small_net();
    Trainer trainer(net, small_split(), {net.state(), Adam{}}, small_options());
    trainer.train();
    if (threads == 1) one = values(net.state());
    BOOST_TEST_CONTEXT(threads << " threads") { check_same(one, values(net.state())); }
  }
  set_thread_count(usual);
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_changes_nothing) {
  FullyConnectedNet net({.hidden = {20}, .seed = 3});
  TrainerOptions options = small_options();
  std::map<std::string, Tensor> before = {};
  std::int64_t steps = 0;
  options.schedule = [](std::int64_t step) { return step < 2 ? 1e-3 : 1e30; };
  options.on_step = [&](const StepReport& step) {
    before = values(net.state());
    steps = step.iteration;
  };
  Trainer trainer(net, small_split(), {net.state(), Sgd{}}, options);
  const std::string error = thrown<NotFinite>([&] { trainer.train(); });
  BOOST_TEST(error.find("finite") != std::string::npos, error);
  BOOST_TEST(trainer.iteration() == steps);
  BOOST_TEST(trainer.loss_history().size() == std::size_t(steps));
  check_same(before, values(net.state()));
}

BOOST_AUTO_TEST_CASE(gradients_that_overflow_change_nothing) {
  const auto train_one_step = [](FullyConnectedNet& net, bool check_gradients, OptimizerOptions clip = {}) {
    const State weight = net.state().at("fc2/weight");
    Tensor large = weight.value();
    for (float& v : large.mutable_values<float>()) v *= 1e22f;  // the loss is near 1e20: finite
    weight.set(large);
    TrainerOptions options = small_options();
    options.check_gradients = check_gradients;
    options.should_stop = [] { return true; };
    Trainer trainer(net, small_split(), {net.state(), Adam{}, clip}, options);
    const auto before = values(net.state());
    const std::string error = thrown<NotFinite>([&] { trainer.train(); });
    if (trainer.iteration() == 0) check_same(before, values(net.state()));
    return error;
  };
  const auto all_finite = [](const StateDict& state) {
    return std::ranges::all_of(state, [](const State& s) {
      bool finite = true;
      for (std::int64_t i = 0; i < s.value().elements(); ++i) finite &= std::isfinite(s.value().at(i));
      return finite;
    });
  };
  FullyConnectedNet unchecked = small_net(), checked = small_net(), clipped = small_net();
  BOOST_TEST(train_one_step(unchecked, false) == "(nothing was thrown)");
  BOOST_TEST(!all_finite(unchecked.state()));  // the squares of the gradients
  for (const std::string& error :
       {train_one_step(checked, true), train_one_step(clipped, false, {.clip_norm = 1})}) {
    BOOST_TEST(error.find("output 1 isn't finite (inf): first made by ") == 0u, error);
    BOOST_TEST(error.find("; the step wasn't applied") != std::string::npos, error);
  }
  BOOST_TEST(all_finite(checked.state()));
  BOOST_TEST(all_finite(clipped.state()));
}

BOOST_AUTO_TEST_CASE(mistakes) {
  FullyConnectedNet net = small_net();
  TrainerOptions options = small_options();
  options.batch_size = 201;
  BOOST_CHECK_THROW(Trainer(net, small_split(), {net.state(), Sgd{}}, options), Error);
  options = small_options();
  options.epochs = -1;
  BOOST_CHECK_THROW(Trainer(net, small_split(), {net.state(), Sgd{}}, options), Error);
  FullyConnectedNet narrow({.hidden = {20}, .inputs = 10});
  BOOST_CHECK_THROW(Trainer(narrow, small_split(), {narrow.state(), Sgd{}}, small_options()), Error);
}

BOOST_AUTO_TEST_CASE(nothing_to_freeze) {
  FullyConnectedNet model = small_net();
  TrainerOptions options = small_options();
  options.freeze = {{"fc9/*", 1}};
  BOOST_TEST(thrown([&] {
               Trainer(model, small_split(), {model.state(), Adam{}}, options);
             }) == "no parameter's name matches 'fc9/*', which is to be frozen; the first is fc1/weight");
  options.freeze = {{"fc1/*", -1}};
  BOOST_TEST(thrown([&] {
               Trainer(model, small_split(), {model.state(), Adam{}}, options);
             }) == "nothing can be frozen after -1 epochs");
}

BOOST_AUTO_TEST_CASE(label_out_of_range) {
  Cifar10Split split = small_split();
  Tensor images(DType::u8, {40, 32, 32, 3}), labels(DType::i64, {40});
  std::ranges::fill(images.mutable_values<std::uint8_t>(), std::uint8_t(7));
  std::ranges::fill(labels.mutable_values<std::int64_t>(), 3);
  labels.mutable_values<std::int64_t>()[17] = 10;
  split.training = ImageSet(images, labels);
  FullyConnectedNet net = small_net();
  Trainer trainer(net, split, {net.state(), Sgd{}}, small_options());
  const auto before = values(net.state());
  const std::string error = thrown([&] { trainer.train(); });
  BOOST_TEST(error.find("10") != std::string::npos, error);
  BOOST_TEST_MESSAGE(error);
  check_same(before, values(net.state()));
}

BOOST_AUTO_TEST_CASE(no_epochs) {
  FullyConnectedNet net = small_net();
  const auto before = values(net.state());
  Trainer trainer(net, small_split(), {net.state(), Sgd{}}, small_options(0));
  BOOST_TEST(trainer.train());
  BOOST_TEST(trainer.loss_history().empty());
  BOOST_TEST(trainer.validation_accuracy_history().size() == 1u);
  trainer.use_best();
  check_same(before, values(net.state()));
}

BOOST_AUTO_TEST_SUITE_END()
