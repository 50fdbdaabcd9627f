// A trainer that goes on from a checkpoint comes to the same bits as one that nobody stopped.
#include <tapestry/models/trainer.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>
#include <tapestry/tests/support/small_training.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>

#include <functional>
#include <initializer_list>
#include <map>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

namespace {

/// Stopped after each of these steps, and gone on with in another trainer. Returns all State of the run that
/// nobody stopped.
std::map<std::string, Tensor> check_resuming(const TrainerOptions& options,
                                             std::initializer_list<std::int64_t> stops) {
  FullyConnectedNet whole = small_net();
  Trainer(whole, small_split(), {whole.state(), Adam{}}, options).train();
  for (const std::int64_t stop : stops) {
    const TemporaryFolder folder;
    FullyConnectedNet first = small_net(), second = small_net();
    TrainerOptions stopping = options;
    stopping.should_stop = [steps = std::int64_t{0}, stop]() mutable { return ++steps == stop; };
    Trainer before(first, small_split(), {first.state(), Adam{}}, stopping);
    BOOST_TEST(!before.train());
    before.save(folder / "last");
    Trainer after(second, small_split(), {second.state(), Adam{}}, options);
    after.resume(folder / "last");
    BOOST_TEST(after.train());
    BOOST_TEST_CONTEXT("stopped after " << stop) {
      check_same(values(whole.state()), values(second.state()));
    }
  }
  return values(whole.state());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(trainer_resume)

BOOST_AUTO_TEST_CASE(resuming_is_exact) {
  FullyConnectedNet whole = small_net();
  Trainer uninterrupted(whole, small_split(), {whole.state(), Adam{}}, small_options());
  uninterrupted.train();
  for (const std::int64_t stop : {1, 5, 7, 14, 15}) {  // within epochs, at their ends, at the end of all
    const TemporaryFolder folder;
    FullyConnectedNet first = small_net(), second({.hidden = {20}, .normalization = Normalization::batch});
    TrainerOptions options = small_options();
    std::int64_t done = 0;
    options.on_step = [&](const StepReport& step) { done = step.iteration; };
    options.should_stop = [&] { return done == stop; };
    Trainer before(first, small_split(), {first.state(), Adam{}}, options);
    BOOST_TEST(before.train() == (stop == 15));
    before.save(folder / "last", {{"note", "kept"}});
    before.save_best(folder / "best");
    Trainer after(second, small_split(), {second.state(), Adam{}}, small_options());
    BOOST_TEST(after.resume(folder / "last", folder / "best").at("note") == "kept");
    BOOST_TEST(after.iteration() == stop);
    BOOST_TEST(after.train());
    BOOST_TEST_CONTEXT("stopped after " << stop) {
      check_same(values(whole.state()), values(second.state()));
    }
    BOOST_TEST(after.best_validation_accuracy() == uninterrupted.best_validation_accuracy());
    // And the trainer that was stopped can go on itself.
    done = -1;
    BOOST_TEST(before.train());
    check_same(values(whole.state()), values(first.state()));
  }
}

BOOST_AUTO_TEST_CASE(resuming_is_exact_where_images_are_augmented) {
  TrainerOptions options = small_options();
  options.augment = {Flip::alternating, 2, Border::reflect, 8};
  options.pixels = normalized_channels({32, 32, 3}, kCifar10ChannelMeans, kCifar10ChannelDeviations);
  const auto whole =
      check_resuming(options, {2, 5, 8});  // within the first epoch, at its end, within the second
  // It makes a difference at all.
  options.augment = {};
  FullyConnectedNet plain = small_net();
  Trainer(plain, small_split(), {plain.state(), Adam{}}, options).train();
  BOOST_TEST(!identical(whole.at("fc1/weight"), values(plain.state()).at("fc1/weight")));
}

BOOST_AUTO_TEST_CASE(resuming_is_exact_with_slow_and_averaged_weights) {
  const auto trained = [](FullyConnectedNet& net, const std::function<bool()>& stop, const fs::path& from,
                          const fs::path& to) {
    TrainerOptions options = small_options();
    options.average.emplace(net.state(), 0.95);
    options.should_stop = stop;
    const Optimizer lamb(net.state(), Lamb{}, {.lookahead = Lookahead{.steps = 4, .alpha = 0.5}});
    Trainer trainer(net, small_split(), lamb, options);
    if (!from.empty()) trainer.resume(from);
    trainer.train();
    if (!to.empty()) trainer.save(to);
  };
  FullyConnectedNet whole = small_net();
  trained(whole, {}, {}, {});
  for (const int stop : {1, 5, 6, 8}) {
    const TemporaryFolder folder;
    FullyConnectedNet first = small_net(), second = small_net();
    trained(
        first, [steps = 0, stop]() mutable { return ++steps == stop; }, {}, folder / "last");
    trained(second, {}, folder / "last", {});
    BOOST_TEST_CONTEXT("stopped after " << stop) {
      check_same(values(whole.state()), values(second.state()));
    }
  }
}

BOOST_AUTO_TEST_CASE(resuming_is_exact_where_parameters_freeze) {
  TrainerOptions options = small_options();
  options.freeze = {{"fc1/*", 1}};
  check_resuming(options, {2, 5, 8});  // before it, at its time, after it
}

BOOST_AUTO_TEST_SUITE_END()
