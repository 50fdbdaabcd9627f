// Every model by its name on the command line: what it is trained with, and that each command takes it.
#include <tapestry/apps/models.hpp>
#include <tapestry/models/data/image_file.hpp>
#include <tapestry/tests/support/cifar_train.hpp>
#include <tapestry/tests/support/completed.hpp>
#include <tapestry/tests/support/files.hpp>

#include <cmath>
#include <sstream>

#include <boost/program_options.hpp>
#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace po = boost::program_options;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(models)

BOOST_AUTO_TEST_CASE(help_names_all) {
  for (const char* command : {"train", "describe", "gradcheck", "compare"}) {
    const std::string help = cifar_train({command, "--help"}).out;
    for (const app::ModelEntry& entry : app::models())
      BOOST_TEST(contains(help, entry.name + ": "), entry.name);
  }
}

BOOST_AUTO_TEST_CASE(the_defaults_are_the_models) {
  const app::Config own = completed({});
  BOOST_TEST(own.optimizer == "adam");
  BOOST_TEST(own.learning_rate == 1e-3);
  BOOST_TEST(own.schedule == "exponential");
  BOOST_TEST(own.hidden == "500,500,500");
  const app::Config residual = completed({"--model", "resnet20"});
  BOOST_TEST(residual.optimizer == "nesterov");
  BOOST_TEST(residual.learning_rate == 0.1);
  BOOST_TEST(residual.weight_decay == 5e-4);
  BOOST_TEST(residual.pixels == "channels");
  BOOST_TEST(residual.num_train == 49'000);
  const app::Config speedrun = completed({"--model", "speedrun"});
  BOOST_TEST(speedrun.optimizer == "speedrun");
  BOOST_TEST(speedrun.learning_rate == 1);
  BOOST_TEST(speedrun.batch_size == 2000);
  BOOST_TEST(speedrun.tta == "translate");
  // All of them make sense.
  for (const app::ModelEntry& entry : app::models())
    for (const auto* settings : {&entry.itself, &entry.training, &entry.with_optimizer})
      for (const auto& [name, value] : *settings)
        BOOST_TEST(app::setting(completed({"--model", entry.name}), name) == value,
                   entry.name << ' ' << name);
}

BOOST_AUTO_TEST_CASE(what_is_given_wins) {
  const app::Config given = completed({"--model", "resnet20", "--learning-rate", "0.001", "--epochs", "10"});
  BOOST_TEST(given.learning_rate == 0.001);  // even where it is Config's own default
  BOOST_TEST(given.epochs == 10);
  BOOST_TEST(given.schedule == "cosine");
  // Another update rule brings its own rate and decay.
  const app::Config adamw = completed({"--model", "resnet20", "--optimizer", "adamw"});
  BOOST_TEST(adamw.optimizer == "adamw");
  BOOST_TEST(adamw.learning_rate == 1e-3);
  BOOST_TEST(adamw.weight_decay == 0.01);
  BOOST_TEST(adamw.augment == "flip,crop=4");
  // The same rule, named, is the model's.
  BOOST_TEST(completed({"--model", "resnet20", "--optimizer", "nesterov"}).learning_rate == 0.1);
  const TemporaryFolder folder;
  write_file(folder / "net.ini", "model = resnet20\nepochs = 3\n");
  const app::Config file = completed({"--config", (folder / "net.ini").string(), "--batch-size", "64"});
  BOOST_TEST(file.epochs == 3);
  BOOST_TEST(file.batch_size == 64);
  BOOST_TEST(file.augment == "flip,crop=4");
}

BOOST_AUTO_TEST_CASE(each_is_described_and_its_gradients_checked) {
  for (const app::ModelEntry& entry : app::models()) {
    Words words = {"describe", "--model", entry.name, "--batch-size", "8"};
    if (takes(entry, "width")) words.insert(words.end(), {"--width", "4"});
    const ChildResult described = cifar_train(words);
    BOOST_TEST(described.code == 0, entry.name << ": " << described.err);
    BOOST_TEST(contains(described.out, "floating-point operations"), entry.name);
    const ChildResult checked = cifar_train({"gradcheck", "--model", entry.name, "--elements", "2"});
    BOOST_TEST(checked.code == 0, entry.name << ": " << checked.err);
    BOOST_TEST(contains(checked.out, "relative error"), entry.name);
  }
}

BOOST_AUTO_TEST_CASE(trained_evaluated_and_asked) {
  const TemporaryFolder place;
  write_file(place / "image.ppm", "P6 2 2 255\n" + std::string(12, 'x'));
  for (const char* name : {"three_layer", "resnet20", "vit"}) {
    const std::string run = (place / name).string();
    const ChildResult training = cifar_train(
        small_training(run, {"--model", name, "--width", "4", "--num-train", "100", "--epochs", "1"}));
    BOOST_TEST(training.code == 0, training.err);
    BOOST_TEST(contains(training.out, "epoch 1/1"), training.out);
    const ChildResult evaluation = cifar_train({"evaluate", run, "--data", cifar10_folder().string()});
    BOOST_TEST(evaluation.code == 0, evaluation.err);
    // The same as training found: "... on the test images 0.1234 (all 10,000)".
    const std::size_t at = training.out.find("on the test images ");
    BOOST_REQUIRE(at != std::string::npos);
    const std::string accuracy = training.out.substr(at + 19, 6);
    BOOST_TEST(contains(evaluation.out, "test accuracy       " + accuracy + " (all 10000)"), evaluation.out);
    const ChildResult prediction = cifar_train({"predict", run, (place / "image.ppm").string()});
    BOOST_TEST(prediction.code == 0, prediction.err);
    BOOST_TEST(contains(prediction.out, "%"), prediction.out);
  }
}

// Speedrun's first filters are of the images that it looks at: without any, all of its slopes would be 0.
BOOST_AUTO_TEST_CASE(a_check_of_speedrun_has_slopes) {
  const ChildResult checked = cifar_train({"gradcheck", "--model", "speedrun", "--elements", "2"});
  BOOST_TEST(checked.code == 0, checked.err);
  std::istringstream lines(checked.out);
  int parameters = 0;
  for (std::string line, word; std::getline(lines, line);) {
    if (!contains(line, "/weight  ")) continue;
    std::istringstream words(line);
    std::vector<std::string> all;
    while (words >> word) all.push_back(word);
    BOOST_TEST(std::abs(std::stod(all.at(all.size() - 2))) > 1e-6, line);  // derived
    ++parameters;
  }
  BOOST_TEST(parameters == 7);
}

BOOST_AUTO_TEST_CASE(what_a_model_has_no_use_for_is_refused) {
  const std::pair<std::string, std::string> values[] = {
      {"hidden", "100"}, {"width", "8"}, {"filter-size", "3"},      {"normalization", "none"},
      {"keep", "0.5"},   {"reg", "0.1"}, {"weight-scale", "0.125"}, {"learning-rate", "0.5"}};
  int refused = 0;
  for (const app::ModelEntry& entry : app::models()) {
    for (const auto& [name, value] : values) {
      const TemporaryFolder folder;
      write_file(folder / "net.ini", "model = " + entry.name + "\n" + name + " = " + value + "\n");
      const Words calls[] = {{"--model", entry.name, "--" + name, value},
                             {"--config", (folder / "net.ini").string()}};
      for (const Words& words : calls) {
        po::options_description options;
        app::Config config;
        options.add(app::model_options(config)).add(app::training_options(config));
        app::Given given;
        BOOST_REQUIRE(app::parse(words, options, "train", given));
        if (takes(entry, name)) {
          BOOST_CHECK_NO_THROW(refuse_unused(config, given));
          continue;
        }
        const std::string what = words[0] == "--config" ? words[1] + ", line 2: " + name : "--" + name;
        const auto says_which = [&](const app::UsageError& error) {
          return std::string(error.what())
              .starts_with(what + " says nothing to --model " + entry.name + ", which takes --");
        };
        BOOST_CHECK_EXCEPTION(refuse_unused(config, given), app::UsageError, says_which);
        ++refused;
      }
    }
  }
  BOOST_TEST(refused == 2 * (2 + 2 + 6 * 6));
  // By each command that makes a model of options, before it makes anything.
  const TemporaryFolder folder;
  for (const char* command : {"train", "compare", "describe", "gradcheck"}) {
    // Also in the words of a default.
    const Words words = {command, "--model", "resnet20", "--hidden", "500,500,500"};
    const ChildResult result = cifar_train(words, {.folder = folder.path()});
    BOOST_TEST(result.code == 2, command);
    BOOST_TEST(result.err == "cifar_train: --hidden says nothing to --model resnet20, which takes --width\n");
    BOOST_TEST(std::filesystem::is_empty(folder.path()));
  }
}

// Runs that were begun when config.ini named all settings, whatever the model.
BOOST_AUTO_TEST_CASE(older_runs_are_gone_on_with) {
  const TemporaryFolder place;
  const std::string run = (place / "run").string(), ini = (place / "run" / "config.ini").string();
  const ChildResult first = cifar_train(
      small_training(run, {"--model", "resnet20", "--width", "2", "--num-train", "100", "--epochs", "1"}));
  BOOST_TEST(first.code == 0, first.err);
  const std::string now = file_content(ini);
  BOOST_TEST(contains(now, "\nwidth = 2\n"));
  for (const char* unused :
       {"hidden", "filter-size", "normalization", "keep", "reg", "weight-scale", "beta1", "decay"})
    BOOST_TEST(!contains(now, text('\n', unused, " = ")), unused);
  const std::string defaults =
      "filter-size = 7\nnormalization = batch\nkeep = 1\nreg = 0\nweight-scale = 0.01\ndecay = 0.99\n";
  // Its file is no call that names them,
  write_file(ini, now + "hidden = 500,500,500\n" + defaults);
  const ChildResult described = cifar_train({"describe", "--config", ini});
  BOOST_TEST(described.code == 0, described.err);
  // and not even with what said nothing then is the run lost.
  write_file(ini, now + "hidden = 20\nbeta1 = 0.8\n" + defaults);
  const ChildResult second = cifar_train({"train", "--resume", run, "--epochs", "2"});
  BOOST_TEST(second.code == 0, second.err);
  BOOST_TEST(contains(second.out, "epoch 2/2"), second.out);
  BOOST_TEST(cifar_train({"evaluate", run, "--data", cifar10_folder().string()}).code == 0);
}

BOOST_AUTO_TEST_CASE(sizes_that_make_no_sense) {
  const ChildResult result = cifar_train({"describe", "--model", "three_layer", "--hidden", "20,20"});
  BOOST_TEST(result.code == 2);
  BOOST_TEST(contains(result.err, "--hidden takes one number, not '20,20'"), result.err);
  const ChildResult large = cifar_train({"describe", "--model", "three_layer", "--filter-size", "33"});
  BOOST_TEST(large.code == 2);
  const ChildResult narrow = cifar_train({"describe", "--model", "vit", "--width", "6"});
  BOOST_TEST(narrow.code == 2);
  BOOST_TEST(contains(narrow.err, "the 4 heads of vit can't share 6 features"), narrow.err);
  BOOST_TEST(contains(large.err, "--filter-size is between 1 and 32, not 33"), large.err);
}

BOOST_AUTO_TEST_SUITE_END()
