// Interruptions, kills and thread counts: the final parameters are the same, bit for bit.
#include <tapestry/apps/build.hpp>
#include <tapestry/apps/commands.hpp>
#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/tests/support/cifar_train.hpp>
#include <tapestry/tests/support/files.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <iostream>
#include <sstream>
#include <thread>
#include <utility>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kStepsPerEpoch = 8;

std::int64_t iteration_of(const fs::path& run) {
  return std::stoll(load_safetensors(run / "last.safetensors").metadata.at("iteration"));
}

/// Names and bits of all tensors; metadata such as the seconds may differ.
bool same_state(const fs::path& a, const fs::path& b) {
  const SafetensorsFile x = load_safetensors(a), y = load_safetensors(b);
  if (x.tensors.size() != y.tensors.size()) return false;
  for (const NamedTensor& named : x.tensors) {
    const Tensor* other = y.find(named.name);
    if (!other || other->type() != named.tensor.type() ||
        std::memcmp(other->data(), named.tensor.data(), named.tensor.bytes()) != 0) {
      BOOST_TEST_MESSAGE(named.name << " differs");
      return false;
    }
  }
  return true;
}

void check_same_run(const fs::path& a, const fs::path& b) {
  BOOST_TEST(same_state(a / "last.safetensors", b / "last.safetensors"));
  BOOST_TEST(same_state(a / "best.safetensors", b / "best.safetensors"));
  // One row a step and an epoch, none twice, with the same numbers but for the seconds.
  const auto rows = [](const fs::path& run) {
    std::istringstream lines(file_content(run / "metrics.csv"));
    std::vector<std::string> all;
    for (std::string line; std::getline(lines, line);) all.push_back(line.substr(0, line.rfind(',')));
    return all;
  };
  const auto x = rows(a), y = rows(b);
  BOOST_TEST(x == y, boost::test_tools::per_element());
}

/// Waits until the child has saved a checkpoint that `wanted` accepts.
bool wait_for_checkpoint(Child& child, const fs::path& run, const std::function<bool(std::int64_t)>& wanted) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(4);
  while (child.running() && std::chrono::steady_clock::now() < end) {
    if (fs::exists(run / "last.safetensors") && wanted(iteration_of(run))) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

Words endless(const fs::path& run) {
  return small_training(
      run, {"--epochs", "100000", "--schedule", "constant", "--keep", "0.8", "--checkpoint-every", "3"});
}

ChildResult go_on(const fs::path& run, std::int64_t epochs) {
  return cifar_train({"train", "--resume", run.string(), "--epochs", std::to_string(epochs)});
}

/// What a run of so many epochs without any interruption comes to.
void check_as_uninterrupted(const fs::path& run, const fs::path& reference, std::int64_t epochs) {
  const ChildResult whole = cifar_train(small_training(
      reference, {"--epochs", std::to_string(epochs), "--schedule", "constant", "--keep", "0.8"}));
  BOOST_REQUIRE_MESSAGE(whole.code == 0, whole.err);
  BOOST_TEST(iteration_of(run) == epochs * kStepsPerEpoch);
  check_same_run(run, reference);
}

/// A run that is killed in the middle of an epoch and goes on comes to what one without interruption does.
/// Images are augmented. Returns the epochs that it took.
std::int64_t check_killed_in_mid_epoch(const fs::path& run, const fs::path& whole, const Words& how) {
  const auto training = [&](const fs::path& out, const std::string& epochs) {
    // Epochs of eight steps; a checkpoint after the third of each is where the run goes on.
    Words words{"--augment",          "alternating,translate=2,cutout=8",
                "--pixels",           "channels",
                "--schedule",         "constant",
                "--epochs",           epochs,
                "--checkpoint-every", "3"};
    words.insert(words.end(), how.begin(), how.end());
    return small_training(out, words);
  };
  Child child(TAPESTRY_CIFAR_TRAIN, training(run, "100000"));
  BOOST_REQUIRE(wait_for_checkpoint(child, run,
                                    [](std::int64_t i) { return i > kStepsPerEpoch && i % kStepsPerEpoch; }));
  child.send(SIGKILL);
  child.wait();
  const std::int64_t epochs = iteration_of(run) / kStepsPerEpoch + 1;
  const ChildResult rest = go_on(run, epochs);
  BOOST_TEST(rest.code == 0, rest.err);
  const ChildResult uninterrupted = cifar_train(training(whole, std::to_string(epochs)));
  BOOST_REQUIRE_MESSAGE(uninterrupted.code == 0, uninterrupted.err);
  BOOST_TEST(iteration_of(run) == epochs * kStepsPerEpoch);
  check_same_run(run, whole);
  return epochs;
}

/// config.ini is edited after the run has begun: going on is refused, in a sentence that says `why`.
void check_edit_is_refused(const fs::path& run, std::int64_t epochs, const std::string& line,
                           const std::string& other, const std::string& why) {
  const std::string config = file_content(run / "config.ini");
  const std::size_t at = config.find(line);
  BOOST_REQUIRE(at != std::string::npos);
  write_file(run / "config.ini", std::string(config).replace(at, line.size(), other));
  const ChildResult result = go_on(run, epochs);
  BOOST_TEST(result.code == 2);
  BOOST_TEST(result.err.find(why) != std::string::npos, result.err);
  write_file(run / "config.ini", config);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resume)

BOOST_AUTO_TEST_CASE(thread_counts) {
  const TemporaryFolder place;
  for (const char* threads : {"1", "2", "5"}) {
    const ChildResult result =
        cifar_train(small_training(place / threads, {"--threads", threads, "--keep", "0.8"}));
    BOOST_REQUIRE_MESSAGE(result.code == 0, result.err);
  }
  check_same_run(place / "1", place / "2");
  check_same_run(place / "1", place / "5");
  // The comparison can fail.
  const ChildResult other = cifar_train(small_training(place / "seed", {"--seed", "1", "--keep", "0.8"}));
  BOOST_REQUIRE_MESSAGE(other.code == 0, other.err);
  BOOST_TEST(!same_state(place / "1" / "last.safetensors", place / "seed" / "last.safetensors"));
}

BOOST_AUTO_TEST_CASE(more_epochs) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  BOOST_TEST(
      cifar_train(small_training(run, {"--epochs", "1", "--schedule", "constant", "--keep", "0.8"})).code ==
      0);
  BOOST_TEST(go_on(run, 3).code == 0);
  check_as_uninterrupted(run, place / "whole", 3);
}

BOOST_AUTO_TEST_CASE(control_c) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TemporaryFolder place;
    const fs::path run = place / "run";
    Child child(TAPESTRY_CIFAR_TRAIN, endless(run));
    BOOST_REQUIRE(wait_for_checkpoint(child, run, [](std::int64_t i) { return i > 0; }));
    child.send(signal);
    const ChildResult result = child.wait();
    BOOST_TEST(result.code == 130);
    BOOST_TEST(result.signal == 0);
    BOOST_TEST(complaint(result).find("cifar_train: ") == std::string::npos);
    BOOST_TEST(result.out.find("interrupted; go on with: cifar_train train --resume " + run.string()) !=
               std::string::npos);
    BOOST_TEST(fs::exists(run / "report.html"));
    // The last step counted is the one saved.
    const std::int64_t iteration = iteration_of(run);
    const std::string rows = file_content(run / "metrics.csv");
    BOOST_TEST(rows.find(std::to_string(iteration)) != std::string::npos);

    const std::int64_t epochs = iteration / kStepsPerEpoch + 1;
    const ChildResult rest = go_on(run, epochs);
    BOOST_TEST(rest.code == 0, rest.err);
    check_as_uninterrupted(run, place / "whole", epochs);
  }
}

BOOST_AUTO_TEST_CASE(kill_in_the_middle_of_an_epoch) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  bool middle = false;
  std::int64_t at = 0;
  for (int kills = 0; kills < 2 || (!middle && kills < 10); ++kills) {
    Words words{"train", "--resume", run.string()};
    if (kills == 0) words = endless(run);
    Child child(TAPESTRY_CIFAR_TRAIN, words);
    BOOST_REQUIRE(wait_for_checkpoint(
        child, run, [&](std::int64_t i) { return i > at && i > kStepsPerEpoch && i % kStepsPerEpoch != 0; }));
    child.send(SIGKILL);
    BOOST_TEST(child.wait().signal == SIGKILL);
    at = iteration_of(run);  // whole, whenever the kill came
    middle |= at % kStepsPerEpoch != 0;
  }
  BOOST_TEST(middle);
  const std::int64_t epochs = at / kStepsPerEpoch + 1;
  const ChildResult rest = go_on(run, epochs);
  BOOST_TEST(rest.code == 0, rest.err);
  check_as_uninterrupted(run, place / "whole", epochs);
}

BOOST_AUTO_TEST_CASE(augmented_images) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  const std::int64_t epochs = check_killed_in_mid_epoch(run, place / "whole", {});
  // The checkpoint knows, whatever becomes of config.ini.
  const auto metadata = load_safetensors(run / "last.safetensors").metadata;
  BOOST_TEST(metadata.at("augment") == "alternating,translate=2,cutout=8");
  BOOST_TEST(metadata.at("pixels") == "channels");
  check_edit_is_refused(
      run, epochs + 1, "augment = alternating,translate=2,cutout=8\n", "augment = flip\n",
      "last.safetensors was trained with --augment alternating,translate=2,cutout=8, not flip");
}

BOOST_AUTO_TEST_CASE(only_bf16_on_a_cpu_without_it_is_remarked_on) {
  using app::precision_notice;
  BOOST_TEST(precision_notice(Precision::f32, false) == "");
  BOOST_TEST(precision_notice(Precision::f32, true) == "");
  BOOST_TEST(precision_notice(Precision::bf16, true) == "");
  const std::string notice = precision_notice(Precision::bf16, false);
  BOOST_TEST(notice.find("no bf16 products") != std::string::npos);
  BOOST_TEST(std::ranges::count(notice, '\n') == 1);
  BOOST_TEST(notice.ends_with('\n'));
}

BOOST_AUTO_TEST_CASE(evaluating_in_bf16_without_such_products_is_remarked_on) {
  const TemporaryFolder place;
  const std::string run = (place / "run").string();
  const ChildResult training = cifar_train(small_training(run, {"--precision", "bf16", "--epochs", "1"}));
  BOOST_REQUIRE(training.code == 0);
  const auto evaluated = [&](bool (*multiplies)()) {
    std::ostringstream err, out;
    auto* const old_err = std::cerr.rdbuf(err.rdbuf());
    auto* const old_out = std::cout.rdbuf(out.rdbuf());
    const auto old_cpu = std::exchange(app::this_cpu_multiplies_bf16, multiplies);
    const std::string words[] = {"evaluate", run, "--data", cifar10_folder().string()};
    const int code = app::run(words);
    app::this_cpu_multiplies_bf16 = old_cpu;
    std::cout.rdbuf(old_out);
    std::cerr.rdbuf(old_err);
    BOOST_TEST(code == 0, err.str());
    return err.str();
  };
  const std::string with = evaluated([] { return true; }), without = evaluated([] { return false; });
  BOOST_TEST(without == with + app::precision_notice(Precision::bf16, false));
}

BOOST_AUTO_TEST_CASE(in_bf16) {
  const TemporaryFolder place;
  check_killed_in_mid_epoch(place / "run", place / "whole", {"--precision", "bf16", "--keep", "0.8"});
  // It makes a difference at all.
  const ChildResult single = cifar_train(small_training(place / "f32")),
                    half = cifar_train(small_training(place / "bf16", {"--precision", "bf16"}));
  BOOST_TEST(single.code == 0, single.err);
  BOOST_TEST(half.code == 0, half.err);
  // A CPU without bf16 does it too, and says once that it is slower; f32 is nothing to speak of.
  const auto notices = [](const ChildResult& result) {
    std::size_t count = 0, at = 0;
    for (; (at = result.err.find("no bf16 products", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  BOOST_TEST(notices(half) == (kernels::cpu_multiplies_bf16() ? 0u : 1u), half.err);
  BOOST_TEST(notices(single) == 0u, single.err);
  BOOST_TEST(!same_state(place / "f32" / "last.safetensors", place / "bf16" / "last.safetensors"));
}

BOOST_AUTO_TEST_CASE(slow_and_averaged_weights) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  const std::int64_t epochs = check_killed_in_mid_epoch(
      run, place / "whole", {"--optimizer", "lamb", "--lookahead", "6", "--ema", "0.9", "--hidden", "20,20"});
  const std::string was = "last.safetensors was trained with --";
  check_edit_is_refused(run, epochs + 1, "\nema = 0.9\n", "\nema = 0.95\n", was + "ema 0.9, not 0.95");
  check_edit_is_refused(run, epochs + 1, "\nlookahead = 6\n", "\nlookahead = 5\n",
                        was + "lookahead 6, not 5");
}

BOOST_AUTO_TEST_CASE(muon) {
  const TemporaryFolder place;
  check_killed_in_mid_epoch(place / "run", place / "whole",
                            {"--optimizer", "muon", "--hidden", "20,20", "--weight-decay", "0.01"});
}

BOOST_AUTO_TEST_CASE(ended_before_the_first_checkpoint) {
  const TemporaryFolder place;
  const fs::path run = place / "run", whole = place / "whole";
  BOOST_REQUIRE(cifar_train(small_training(whole)).code == 0);
  const std::string rows = file_content(whole / "metrics.csv");
  const std::size_t header = rows.find('\n') + 1, first_row = rows.find('\n', header) + 1;
  for (const std::size_t recorded : {std::size_t(0), header, first_row}) {
    fs::remove_all(run);
    fs::create_directory(run);
    fs::copy_file(whole / "config.ini", run / "config.ini");
    if (recorded > 0) write_file(run / "metrics.csv", std::string_view(rows).substr(0, recorded));
    const ChildResult result = cifar_train({"train", "--resume", run.string()});
    BOOST_TEST(result.code == 0, result.err);
    BOOST_TEST(result.out.starts_with(run.string() + " has no checkpoint yet: the run begins again\n"));
    check_same_run(run, whole);
  }
}

BOOST_AUTO_TEST_CASE(with_other_images) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  BOOST_REQUIRE(cifar_train(small_training(run)).code == 0);
  const fs::path other = cifar10_without(place / "other", "data_batch_1.bin");
  std::string images = file_content(cifar10_folder() / "data_batch_1.bin");
  for (std::size_t i = 1; i < 1000; ++i) images[i] = char(~images[i]);
  write_file(other / "data_batch_1.bin", images);
  const std::string last = file_content(run / "last.safetensors");
  const std::string rows = file_content(run / "metrics.csv");
  const Words words{"train", "--resume", run.string(), "--epochs", "3", "--data"};
  const auto resume_with = [&](const fs::path& data) {
    Words all = words;
    all.push_back(data.string());
    return cifar_train(all);
  };
  const ChildResult result = resume_with(other);
  BOOST_TEST(result.code == 2);
  BOOST_TEST(one_sentence(complaint(result)));
  BOOST_TEST(result.err.find("these are not the images that " + (run / "last.safetensors").string()) !=
             std::string::npos);
  BOOST_TEST((file_content(run / "last.safetensors") == last));
  BOOST_TEST((file_content(run / "metrics.csv") == rows));
  BOOST_TEST(resume_with(cifar10_without(place / "same", "")).code == 0);
}

BOOST_AUTO_TEST_CASE(comparison) {
  const TemporaryFolder place;
  const auto compare = [&](const fs::path& out, const Words& more) {
    Words words{"compare",     "--data",    cifar10_folder().string(),
                "--num-train", "400",       "--batch-size",
                "50",          "--epochs",  "6",
                "--out",       out.string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const fs::path out = place / "out", whole = place / "whole";
  const Words net{"--hidden", "10,10"};
  Child child(TAPESTRY_CIFAR_TRAIN, compare(out, net));
  BOOST_REQUIRE(wait_for_checkpoint(child, out / "nesterov", [](std::int64_t) { return true; }));
  child.send(SIGINT);
  const ChildResult begun = child.wait();
  BOOST_TEST(begun.code == 130);
  BOOST_TEST(begun.out.find("interrupted; go on with the same words and --resume\n") != std::string::npos);
  BOOST_TEST(!fs::exists(out / "report.html"));

  const ChildResult again = cifar_train(compare(out, net));
  BOOST_TEST(again.code == 2);
  BOOST_TEST(again.err.find("already holds a run: go on with --resume, or") != std::string::npos, again.err);
  const ChildResult other = cifar_train(compare(out, {"--hidden", "11", "--resume"}));
  BOOST_TEST(other.code == 2);
  BOOST_TEST(other.err.find("has hidden = 10,10, not 11") != std::string::npos, other.err);

  const auto kept = fs::last_write_time(out / "sgd/last.safetensors");
  const ChildResult rest = cifar_train(compare(out, {"--hidden", "10,10", "--resume"}));
  BOOST_TEST(rest.code == 0, rest.err);
  BOOST_TEST((fs::last_write_time(out / "sgd/last.safetensors") == kept));  // not trained again
  BOOST_TEST(fs::exists(out / "report.html"));
  BOOST_TEST(cifar_train(compare(whole, net)).code == 0);
  for (const char* rule : {"sgd", "momentum", "nesterov", "adam", "rmsprop"}) {
    BOOST_TEST_CONTEXT(rule) { check_same_run(out / rule, whole / rule); }
  }
}

BOOST_AUTO_TEST_SUITE_END()
