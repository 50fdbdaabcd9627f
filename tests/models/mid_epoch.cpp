// The speedrun's net and recipe, with narrow layers: stopped in the middle of an epoch of augmented images,
// in f32 and in bf16, by oneDNN and without it, it goes on to the same bits, whatever the number of threads.
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/speedrun.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/tests/support/restore_threads.hpp>
#include <tapestry/tests/support/small_cifar10.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/use_onednn.hpp>

#include <map>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kBatch = 40, kEpochs = 2;  // of five steps

struct How {
  Precision precision = Precision::f32;
  int threads = 2;
  int stop_after = -1;
  fs::path from{}, to{};
};

/// All State after the last step.
std::map<std::string, Tensor> trained(const How& how) {
  const RestoreThreads restore;
  set_thread_count(how.threads);
  SpeedrunNet net({.widths = {8, 16, 16}, .seed = 5});
  TrainerOptions options{
      .epochs = kEpochs,
      .batch_size = kBatch,
      .schedule = linear_schedule(1, 10),
      .train_samples = 20,
      .augment = {Flip::alternating, 2, Border::reflect, 0},
      .pixels = normalized_channels({32, 32, 3}, kCifar10ChannelMeans, kCifar10ChannelDeviations),
      .precision = how.precision};
  options.average.emplace(net.state(), 0.9);
  options.should_stop = [steps = 0, stop = how.stop_after]() mutable { return ++steps == stop; };
  const OptimizerOptions more{.clip_norm = 1.0, .lookahead = Lookahead{.steps = 3, .alpha = 0.5}};
  Trainer trainer(net, small_split(), speedrun_optimizer(net.state(), kBatch, kEpochs, more), options);
  net.look_at(small_split().training, *options.pixels);
  if (!how.from.empty()) trainer.resume(how.from);
  trainer.train();
  if (!how.to.empty()) trainer.save(how.to);
  std::map<std::string, Tensor> all;
  for (const State& s : net.state()) all.emplace(s.name(), s.value());
  return all;
}

void check_same(const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b) {
  BOOST_REQUIRE(a.size() == b.size());
  for (const auto& [name, value] : a) {
    BOOST_REQUIRE(b.contains(name));
    BOOST_TEST(identical(value, b.at(name)), name);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mid_epoch)

BOOST_AUTO_TEST_CASE(goes_on_to_the_same_bits) {
  for (const bool onednn : {false, true}) {
    const UseOneDnn use(onednn);
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      const auto whole = trained({.precision = precision});
      for (const int stop : {2, 7}) {
        const TemporaryFolder folder;
        trained({.precision = precision, .stop_after = stop, .to = folder / "last"});
        BOOST_TEST_CONTEXT(onednn << ", bf16 " << (precision == Precision::bf16) << ", after " << stop) {
          check_same(whole, trained({.precision = precision, .from = folder / "last"}));
        }
      }
      // Everything that was asked for is there.
      for (const char* name : {"group1/conv1/weight", "head/weight", "whiten/bias"}) {
        BOOST_TEST(whole.contains(text("speedrun/", name, "/velocity")), name);
        BOOST_TEST(whole.contains(text("speedrun/", name, "/slow")), name);
        BOOST_TEST(whole.contains(text("ema/", name)), name);
      }
      BOOST_TEST(whole.contains("ema/group1/conv1/running_var"));
      BOOST_TEST(!whole.contains("ema/whiten/weight"));  // it never changes
    }
  }
}

BOOST_AUTO_TEST_CASE(threads_do_not_matter) {
  for (const bool onednn : {false, true}) {
    const UseOneDnn use(onednn);
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      const auto one = trained({.precision = precision, .threads = 1});
      for (const int threads : {2, 3}) {
        BOOST_TEST_CONTEXT(threads << " threads, oneDNN " << onednn << ", bf16 "
                                   << (precision == Precision::bf16)) {
          check_same(one, trained({.precision = precision, .threads = threads}));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(bf16_differs_from_f32) {
  const auto single = trained({}), half = trained({.precision = Precision::bf16});
  BOOST_TEST(!identical(single.at("group1/conv1/weight"), half.at("group1/conv1/weight")));
}

BOOST_AUTO_TEST_SUITE_END()
