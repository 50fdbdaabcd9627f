// What the subcommands print about a run, and about a model.
#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/data/image_file.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/metrics_table.hpp>
#include <tapestry/models/trainer.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/tests/support/cifar_train.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/xml_check.hpp>

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

namespace {

const ChildResult& trained(fs::path& folder) {
  static const TemporaryFolder place;
  static const ChildResult result = cifar_train(small_training(place / "run"));
  folder = place / "run";
  return result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The line that begins with `name`, without its commas.
std::string line(const std::string& text, const std::string& name) {
  const std::size_t at = text.find(name);
  if (at == std::string::npos) return "";
  std::string found = text.substr(at, text.find('\n', at + 1) - at);
  std::erase(found, ',');
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(commands)

BOOST_AUTO_TEST_CASE(training_leaves_a_run_folder) {
  fs::path run;
  const ChildResult& result = trained(run);
  BOOST_TEST(result.code == 0, result.err);
  BOOST_TEST(contains(result.err, "synthetic stand-in for CIFAR-10"));
  BOOST_TEST(contains(result.out, "best validation accuracy 0."));
  for (const char* file :
       {"config.ini", "metrics.csv", "metrics.jsonl", "last.safetensors", "best.safetensors", "report.html"})
    BOOST_TEST(fs::exists(run / file), file);
  BOOST_TEST(contains(file_content(run / "config.ini"), "hidden = 20\n"));
  BOOST_TEST(contains(file_content(run / "config.ini"), "batch-size = 50\n"));
  const std::string report = file_content(run / "report.html");
  BOOST_TEST(contains(report, "<svg"));
  BOOST_TEST(contains(report, "synthetic stand-in"));
  for (const char* elsewhere : {"src=\"http", "<link", "@import"}) BOOST_TEST(!contains(report, elsewhere));
  for (const char* part : {"Accuracy against time", "fc1/weight: 20 units", "The worst mistakes"})
    BOOST_TEST(contains(report, part), part);
  BOOST_TEST(occurrences(report, "alt=\"unit ") == 20);
  BOOST_TEST(occurrences(report, "alt=\"image ") == 24);
  BOOST_TEST(xml_problem(report) == "");
  BOOST_TEST(report.size() < 1'000'000u);
}

BOOST_AUTO_TEST_CASE(a_learning_rate_in_steps) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  const ChildResult result =
      cifar_train(small_training(run, {"--epochs", "5", "--schedule", "step", "--lr-decay", "0.5",
                                       "--decay-every", "2", "--learning-rate", "0.016"}));
  BOOST_TEST(result.code == 0, result.err);
  const MetricPoints rates = load_metrics(run / "metrics.csv").points("epoch", "learning_rate", "epoch");
  const std::vector<double> expected = {0.016, 0.016, 0.016, 0.008, 0.008, 0.004};  // before the first, too
  BOOST_TEST(rates.y == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(weight_decay_unless_given) {
  const TemporaryFolder place;
  const auto decay = [&](const char* name, const Words& more) {
    const ChildResult result = cifar_train(small_training(place / name, more));
    BOOST_TEST(result.code == 0, result.err);
    return line(file_content(place / name / "config.ini"), "weight-decay");
  };
  BOOST_TEST(decay("adam", {"--epochs", "0"}) == "weight-decay = 0");
  BOOST_TEST(decay("adamw", {"--epochs", "0", "--optimizer", "adamw"}) == "weight-decay = 0.01");
  BOOST_TEST(decay("none", {"--epochs", "0", "--optimizer", "adamw", "--weight-decay", "0"}) ==
             "weight-decay = 0");
  BOOST_TEST(decay("lamb", {"--epochs", "0", "--optimizer", "lamb"}) == "weight-decay = 0.01");
  const auto kept = [&](const char* name, const char* setting) {
    return line(file_content(place / name / "config.ini"), setting);
  };
  BOOST_TEST(kept("lamb", "epsilon") == "epsilon = 1e-06");
  BOOST_TEST(kept("adam", "epsilon") == "epsilon = 1e-08");
  decay("muon", {"--epochs", "0", "--optimizer", "muon", "--lookahead"});
  BOOST_TEST(kept("muon", "momentum") == "momentum = 0.95");
  BOOST_TEST(kept("muon", "lookahead") == "lookahead = 5");
  BOOST_TEST(kept("adam", "lookahead") == "lookahead = 0");
  BOOST_TEST(kept("adam", "ema") == "ema = 0");
  // A run goes on with what it began with.
  BOOST_TEST(cifar_train({"train", "--resume", (place / "none").string()}).code == 0);
  BOOST_TEST(line(file_content(place / "none" / "config.ini"), "weight-decay") == "weight-decay = 0");
}

BOOST_AUTO_TEST_CASE(every_update_rule_learns) {
  const TemporaryFolder place;
  // Weights begin small, and Lamb moves them by fractions of their norm.
  for (const auto& [rule, rate] : {std::pair("lamb", 0.0625), {"muon", 0.01}}) {
    const fs::path run = place / rule;
    const ChildResult result = cifar_train(
        small_training(run, {"--optimizer", rule, "--hidden", "30,30", "--epochs", "6", "--learning-rate",
                             text(rate), "--schedule", "linear", "--warm-up", "4"}));
    BOOST_TEST(result.code == 0, result.err);
    const MetricsTable metrics = load_metrics(run / "metrics.csv");
    const std::vector<double> losses = metrics.points("epoch", "loss", "epoch").y;
    BOOST_REQUIRE(losses.size() == 6u);
    BOOST_TEST(losses.back() < 0.8 * losses.front(), rule << ": " << losses.front() << ", " << losses.back());
    // Up in four steps, then along a line to what would be 0 at the step after the last.
    const std::vector<double> rates = metrics.points("iteration", "learning_rate", "step").y;
    BOOST_REQUIRE(rates.size() == 48u);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const double expected = i < 3 ? rate * double(i + 1) / 4 : rate * double(48 - i) / 45;
      BOOST_TEST(std::abs(rates[i] - expected) < 1e-12, "step " << i << ": " << rates[i]);
    }
  }
}

BOOST_AUTO_TEST_CASE(averages_of_weights_are_what_is_evaluated) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  const ChildResult training =
      cifar_train(small_training(run, {"--ema", "0.9", "--epochs", "3", "--learning-rate", "0.01"}));
  BOOST_REQUIRE_MESSAGE(training.code == 0, training.err);
  // The last checkpoint has both; what training measured of it are the averages.
  const SafetensorsFile last = load_safetensors(run / "last.safetensors");
  for (const char* name : {"fc1/weight", "fc1/bias", "norm1/gamma", "norm1/running_mean"}) {
    if (!last.find(name)) continue;
    const Tensor* average = last.find(text("ema/", name));
    BOOST_REQUIRE_MESSAGE(average, name);
    BOOST_TEST(!identical(*average, *last.find(name)), name);
  }
  BOOST_TEST(last.find("ema/data/mean_image") == nullptr);
  const ChildResult result = cifar_train({"evaluate", run.string(), "--checkpoint", "last"});
  BOOST_TEST(result.code == 0, result.err);
  const double measured =
      load_metrics(run / "metrics.csv").points("epoch", "validation_accuracy", "epoch").y.back();
  BOOST_TEST(contains(result.out, text("validation accuracy ", format_fixed(measured, 4))), result.out);
  // The best checkpoint's weights are averages already, and there is nothing else in it.
  const SafetensorsFile best = load_safetensors(run / "best.safetensors");
  BOOST_TEST(best.find("ema/fc1/weight") == nullptr);
  BOOST_TEST(!identical(*best.find("fc1/weight"), *last.find("fc1/weight")));
}

BOOST_AUTO_TEST_CASE(evaluating) {
  fs::path run;
  const ChildResult& training = trained(run);
  const ChildResult result = cifar_train({"evaluate", run.string()});
  BOOST_TEST(result.code == 0, result.err);
  for (const char* part : {"(1000 images)", "(the first 1000)", "(all 10000)", "picture: "})
    BOOST_TEST(contains(result.out, part), part);
  BOOST_TEST(file_content(run / "confusion.svg").starts_with("<svg"));
  // The very accuracies that training ended with.
  const std::string whole = line(training.out, "best validation accuracy");
  const auto number = [](const std::string& text, std::size_t from) {
    const std::size_t at = text.find("0.", from);
    return at == std::string::npos ? "none" : text.substr(at, 6);
  };
  BOOST_TEST(number(result.out, result.out.find("validation accuracy")) == number(whole, 0));
  BOOST_TEST(contains(whole, number(result.out, result.out.rfind("test accuracy")) + " (all 10000)"));
  BOOST_TEST(cifar_train({"evaluate", run.string(), "--checkpoint", "last"}).code == 0);
  const std::string file = (run / "best.safetensors").string();
  BOOST_TEST(cifar_train({"evaluate", run.string(), "--checkpoint", file}).out == result.out);
}

BOOST_AUTO_TEST_CASE(a_page_of_an_evaluation) {
  fs::path run;
  trained(run);
  const TemporaryFolder place;
  const std::string page = (place / "page.html").string();
  const ChildResult result = cifar_train({"evaluate", run.string(), "--report", page});
  BOOST_TEST(result.code == 0, result.err);
  BOOST_TEST(contains(result.out, "report: " + page));
  const std::string html = file_content(page), training = file_content(run / "report.html");
  BOOST_TEST(xml_problem(html) == "");
  BOOST_TEST(contains(html, "synthetic stand-in"));
  // The same pictures as training left, in the same order.
  const auto pictures = [](const std::string& report) {
    return report.substr(report.find("What the first layer"),
                         report.rfind("</figure>") - report.find("What the first layer"));
  };
  BOOST_TEST(pictures(html) == pictures(training));
}

BOOST_AUTO_TEST_CASE(several_views_of_an_image) {
  const TemporaryFolder place;
  const fs::path run = place / "run";
  const ChildResult training = cifar_train(
      small_training(run, {"--tta", "translate", "--pixels", "channels", "--augment", "flip,crop=4"}));
  BOOST_REQUIRE_MESSAGE(training.code == 0, training.err);
  // evaluate sees images as the run's test did, unless told otherwise.
  const auto accuracies = [&](const Words& more) {
    Words words{"evaluate", run.string()};
    words.insert(words.end(), more.begin(), more.end());
    const ChildResult result = cifar_train(words);
    BOOST_TEST(result.code == 0, result.err);
    return result.out.substr(result.out.find("test accuracy"));
  };
  const std::string usual = accuracies({}), tested = line(training.out, "best validation accuracy");
  const std::size_t all = usual.rfind("(all");
  BOOST_TEST(contains(tested, usual.substr(all - 7, 6) + " (all 10000)"), tested << usual);
  BOOST_TEST(accuracies({"--tta", "translate"}) == usual);
  BOOST_TEST(accuracies({"--tta", "mirror"}) != usual);
  BOOST_TEST(accuracies({"--tta", "none"}) != usual);
  // What the pixels are is in the checkpoint.
  std::string config = file_content(run / "config.ini");
  const std::string written = "pixels = channels\n";
  config.replace(config.find(written), written.size(), "pixels = mean-image\n");
  write_file(run / "config.ini", config);
  BOOST_TEST(accuracies({}) == usual);
}

BOOST_AUTO_TEST_CASE(predicting) {
  fs::path run;
  trained(run);
  const TemporaryFolder place;
  const auto save = [&](const std::string& name, std::int64_t height, std::int64_t width) {
    Tensor image(DType::u8, {height, width, 3});
    std::uint8_t value = 0;
    for (std::uint8_t& byte : image.mutable_values<std::uint8_t>()) byte = value += 37;
    const auto png = encode_png(image);
    write_file(place / name, {reinterpret_cast<const char*>(png.data()), png.size()});
    return (place / name).string();
  };
  const std::string small = save("small.png", 32, 32), large = save("large.png", 200, 90);
  const ChildResult one = cifar_train({"predict", run.string(), small, "--top", "10"});
  BOOST_TEST(one.code == 0, one.err);
  std::istringstream names(file_content(cifar10_folder() / kCifar10NamesFile));
  int classes = 0;
  for (std::string name; std::getline(names, name) && !name.empty(); ++classes)
    BOOST_TEST(contains(one.out, name), name);
  BOOST_TEST(classes == 10);
  BOOST_TEST(contains(one.out, "small.png"));
  BOOST_TEST(contains(one.out, "%"));
  const ChildResult views = cifar_train({"predict", run.string(), small, "--top", "10", "--tta", "mirror"});
  BOOST_TEST(views.code == 0, views.err);
  BOOST_TEST(views.out != one.out);
  const ChildResult two = cifar_train({"predict", run.string(), small, large, "--top", "1"});
  BOOST_TEST(two.code == 0, two.err);
  BOOST_TEST(contains(two.out, "small.png"));
  BOOST_TEST(contains(two.out, "large.png"));
}

BOOST_AUTO_TEST_CASE(a_page_that_describes) {
  const TemporaryFolder place;
  const std::string page = (place / "step.html").string(), dot = (place / "recorded.dot").string();
  const ChildResult result = cifar_train(
      {"describe", "--hidden", "30,20", "--batch-size", "10", "--report", page, "--recorded-graph", dot});
  BOOST_TEST(result.code == 0, result.err);
  BOOST_TEST(contains(file_content(dot), "linear"));
  const std::string html = file_content(page);
  BOOST_TEST(xml_problem(html) == "");
  // The peak in the picture is that of the summary.
  const std::string peak = line(result.out, "intermediate values, at the peak");
  std::string plain = html;
  std::erase(plain, ',');
  const std::string bytes = peak.substr(peak.rfind(' ', peak.size() - 7) + 1);
  BOOST_TEST(contains(plain, "peak: " + bytes), bytes);
}

BOOST_AUTO_TEST_CASE(profiling_a_run) {
  const TemporaryFolder place;
  const ChildResult result = cifar_train(small_training(place / "run", {"--profile"}));
  BOOST_TEST(result.code == 0, result.err);
  for (const char* part : {"GFLOP/s", "of limit", "adam/fc1/weight", "training step: 16 times",
                           "wait for a batch", "each by one core while a step runs; a step waited "})
    BOOST_TEST(contains(result.out, part), part);
  BOOST_TEST(contains(result.out, file_content(place / "run" / "profile.txt")));
  const auto trace = nlohmann::json::parse(file_content(place / "run" / "trace.json"));
  BOOST_TEST(trace["traceEvents"].size() > 100);
  BOOST_TEST(trace["otherData"]["bytes_per_second"].get<double>() > 0);
}

BOOST_AUTO_TEST_CASE(describing) {
  const TemporaryFolder place;
  const std::string dot = (place / "graph.dot").string();
  const ChildResult result =
      cifar_train({"describe", "--hidden", "30,20", "--batch-size", "10", "--graph", dot, "--text"});
  BOOST_TEST(result.code == 0, result.err);
  BOOST_TEST(contains(result.out, "graph: " + dot));
  BOOST_TEST(file_content(dot).starts_with("digraph"));
  BOOST_TEST(contains(result.out, "matmul"));
  // Before and after the passes, at the lines of the program and not of the library.
  BOOST_TEST(contains(result.out, "as recorded:\n"));
  BOOST_TEST(contains(result.out, "= linear("));
  BOOST_TEST(contains(result.out, "after the passes:\n"));
  BOOST_TEST(contains(result.out, "# fc1/linear\n"));
  for (const char* file : {"trainer.cpp:", "model.cpp:", "function.cpp:"})
    BOOST_TEST(!contains(result.out, file), file);

  // The same numbers from the library.
  FullyConnectedNet net({.hidden = {30, 20}, .normalization = Normalization::batch});
  Function step = training_step(net, {net.state(), Adam{}});
  const ProgramSummary summary = step.program(training_types(net, 10)).summary();
  BOOST_TEST(line(result.out, "total").ends_with(" " + std::to_string(parameter_count(net.state()))));
  BOOST_TEST(line(result.out, "\npeak").ends_with(" " + std::to_string(summary.peak_bytes()) + " bytes"));
  BOOST_TEST(line(result.out, "floating-point").ends_with(" " + std::to_string(std::int64_t(summary.flops))));
  BOOST_TEST(line(result.out, "kernel calls").ends_with(" " + std::to_string(summary.tasks)));
}

BOOST_AUTO_TEST_CASE(checking_gradients) {
  const ChildResult good =
      cifar_train({"gradcheck", "--hidden", "6,5", "--elements", "8", "--batch", "3", "--reg", "0.5"});
  BOOST_TEST(good.code == 0, good.err);
  for (const char* part : {"fc1/weight", "fc2/bias", "fc3/weight", "relative error"})
    BOOST_TEST(contains(good.out, part), part);
  // A tolerance that nothing meets: the worst element is reported.
  const ChildResult bad = cifar_train({"gradcheck", "--hidden", "5", "--elements", "8", "--tolerance", "0"});
  BOOST_TEST(bad.code == 1);
  BOOST_TEST(one_sentence(bad.err));
  BOOST_TEST(contains(bad.err, "gradients are wrong"));
}

BOOST_AUTO_TEST_CASE(comparing) {
  const TemporaryFolder place;
  const std::string out = (place / "compare").string();
  const ChildResult result =
      cifar_train({"compare", "--data", cifar10_folder().string(), "--num-train", "200", "--epochs", "1",
                   "--hidden", "10,10", "--batch-size", "50", "--out", out});
  BOOST_TEST(result.code == 0, result.err);
  const std::string report = file_content(place / "compare/report.html");
  for (const char* rule : {"sgd", "momentum", "nesterov", "rmsprop", "adam"}) {
    BOOST_TEST(contains(result.out, rule), rule);
    BOOST_TEST(contains(report, rule), rule);
    BOOST_TEST(fs::exists(place / "compare" / rule / "metrics.csv"), rule);
  }
}

BOOST_AUTO_TEST_SUITE_END()
