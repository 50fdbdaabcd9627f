// Every optimizer by its name on the command line, and the settings that it has a use for.
#include <tapestry/apps/build.hpp>
#include <tapestry/apps/optimizers.hpp>
#include <tapestry/core/compile/print.hpp>
#include <tapestry/tests/support/cifar_train.hpp>
#include <tapestry/tests/support/completed.hpp>
#include <tapestry/tests/support/files.hpp>

#include <thread>

#include <boost/program_options.hpp>
#include <boost/test/unit_test.hpp>
#include <sys/stat.h>

using namespace tapestry;
using namespace tapestry::test;
namespace po = boost::program_options;

namespace {

const app::Setting kOthers[] = {{"momentum", "0.8"}, {"decay", "0.8"},    {"beta1", "0.8"},
                                {"beta2", "0.8"},    {"epsilon", "1e-3"}, {"weight-decay", "0.125"}};

std::string model_for(const std::string& optimizer) {
  return optimizer == "speedrun" ? "speedrun" : "fully_connected";
}

/// The step that it trains by, as recorded.
std::string step_of(app::Config config) {
  config.hidden = "4";
  config.width = config.model == "speedrun" ? 2 : 0;
  const std::unique_ptr<Model> model = app::make_model(config);
  Function step = training_step(*model, app::make_optimizer(config, model->state()), false);
  return to_text(step.record(training_types(*model, 8)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizers)

// What each is said to take is what changes its step.
BOOST_AUTO_TEST_CASE(settings_have_a_use_where_they_change_the_step) {
  for (const app::OptimizerEntry& entry : app::optimizers()) {
    app::Config config = completed({"--optimizer", entry.name, "--model", model_for(entry.name)});
    const std::string step = step_of(config);
    for (const auto& [name, value] : kOthers) {
      app::Config other = config;
      po::options_description options;
      options.add(app::training_options(other));
      po::variables_map values;
      const std::vector<std::string> words{"--" + name, value};
      po::store(po::command_line_parser(words).options(options).run(), values);
      po::notify(values);
      BOOST_TEST((step_of(other) != step) == takes(entry, name), entry.name << " and " << name);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_an_optimizer_has_no_use_for_is_refused) {
  int refused = 0;
  const TemporaryFolder folder;
  const std::string file = (folder / "net.ini").string();
  for (const app::OptimizerEntry& entry : app::optimizers()) {
    for (const auto& [name, value] : kOthers) {
      const std::string model = model_for(entry.name);
      write_file(file, "# a run\noptimizer = " + entry.name + "\n\nmodel=" + model + "\n " + name + "=" +
                           value + "\n");
      for (const Words& words : {Words{"--optimizer", entry.name, "--model", model, "--" + name, value},
                                 Words{"--config", file}}) {
        if (takes(entry, name)) {
          BOOST_CHECK_NO_THROW(completed(words));
          continue;
        }
        const std::string what = words[0] == "--config" ? file + ", line 5: " + name : "--" + name;
        const auto says_which = [&](const app::UsageError& error) {
          return std::string(error.what())
              .starts_with(what + " says nothing to --optimizer " + entry.name +
                           (entry.takes.empty() ? "; it is for " : ", which takes --"));
        };
        BOOST_CHECK_EXCEPTION(completed(words), app::UsageError, says_which);
        ++refused;
      }
    }
  }
  BOOST_TEST(refused == 2 * (5 + 4 + 4 + 3 + 2 + 2 + 2 + 1 + 6));
}

BOOST_AUTO_TEST_CASE(refused_in_a_sentence_before_anything_is_made) {
  const TemporaryFolder folder;
  for (const char* command : {"train", "describe"}) {
    // Also in the words of a default.
    const ChildResult result = cifar_train({command, "--momentum", "0.9"}, {.folder = folder.path()});
    BOOST_TEST(result.code == 2, command);
    BOOST_TEST(result.err ==
               "cifar_train: --momentum says nothing to --optimizer adam, which takes --beta1, --beta2, "
               "--epsilon, --weight-decay\n");
  }
  BOOST_TEST(
      cifar_train({"train", "--model", "speedrun", "--weight-decay", "0.1"}).err ==
      "cifar_train: --weight-decay says nothing to --optimizer speedrun; it is for sgd, momentum, nesterov, "
      "rmsprop, adam, adamw, lamb, muon\n");
  BOOST_TEST(std::filesystem::is_empty(folder.path()));
  // What is said on the command line is no matter of the file's, and the other way round.
  const std::string file = (folder / "net.ini").string();
  write_file(file, "optimizer = momentum\nmomentum = 0.8\n");
  BOOST_TEST(completed({"--config", file}).momentum == 0.8);
  BOOST_CHECK_EXCEPTION(
      completed({"--config", file, "--optimizer", "sgd"}), app::UsageError, [&](const auto& e) {
        return std::string(e.what()).starts_with(file + ", line 2: momentum says nothing to --optimizer sgd");
      });
  BOOST_CHECK_EXCEPTION(
      completed({"--config", file, "--optimizer", "sgd", "--momentum", "0.7"}), app::UsageError,
      [&](const auto& e) {
        return std::string(e.what()).starts_with("--momentum says nothing to --optimizer sgd");
      });
  write_file(file, "# mine\noptimizer = adm\n");
  BOOST_CHECK_EXCEPTION(completed({"--config", file}), app::UsageError, [&](const auto& e) {
    return std::string(e.what()).starts_with(file + ", line 2: --optimizer is one of sgd, ");
  });
  // Commands that train nothing don't ask who needs it.
  write_file(file, "optimizer = adam\nmomentum = 0.8\nhidden = 4\n");
  const ChildResult checked = cifar_train({"gradcheck", "--config", file, "--elements", "1"});
  BOOST_TEST(checked.code == 0, checked.err);
}

// What a run's config.ini names of its own accord, nobody has said.
BOOST_AUTO_TEST_CASE(a_file_of_another_optimizer_brings_its_defaults) {
  const TemporaryFolder folder;
  const std::string file = (folder / "config.ini").string();
  for (const app::OptimizerEntry& entry : app::optimizers()) {
    const std::string model = model_for(entry.name);
    app::write_config(file, completed({"--optimizer", entry.name, "--model", model}));
    for (const app::OptimizerEntry& other : app::optimizers()) {
      if (model_for(other.name) != model) continue;
      BOOST_TEST_CONTEXT(entry.name << " to " << other.name) {
        BOOST_TEST(completed({"--config", file, "--optimizer", other.name}).optimizer == other.name);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_config_file_may_be_a_pipe) {
  const TemporaryFolder folder;
  const std::string pipe = (folder / "pipe").string();
  BOOST_TEST_REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::jthread writer([&] { write_file(pipe, "optimizer = sgd\nmomentum = 0.8\n"); });
  BOOST_CHECK_EXCEPTION(completed({"--config", pipe}), app::UsageError, [&](const auto& e) {
    return std::string(e.what()).starts_with(pipe + ", line 2: momentum says nothing to --optimizer sgd");
  });
}

BOOST_AUTO_TEST_CASE(what_a_run_leaves_can_be_read_again) {
  const TemporaryFolder folder;
  const std::string file = (folder / "config.ini").string();
  for (const app::OptimizerEntry& entry : app::optimizers()) {
    Words words{"--optimizer", entry.name, "--model", model_for(entry.name)};
    for (const auto& [name, value] : kOthers) {
      if (takes(entry, name)) words.insert(words.end(), {"--" + name, value});
    }
    const app::Config config = completed(words);
    app::write_config(file, config);
    const std::string written = file_content(file);
    for (const auto& [name, value] : kOthers) {
      BOOST_TEST((written.find("\n" + name + " = ") != std::string::npos) == takes(entry, name),
                 entry.name << " and " << name);
    }
    BOOST_TEST((app::settings(completed({"--config", file})) == app::settings(config)), entry.name);
    BOOST_TEST((app::settings(app::read_config(file)) == app::settings(config)), entry.name);
    // With all defaults of what it doesn't use, as files of older runs have them.
    std::string older = written;
    for (const auto& [name, value] : {app::Setting{"momentum", "0.9"},
                                      {"decay", "0.99"},
                                      {"beta1", "0.9"},
                                      {"beta2", "0.999"},
                                      {"epsilon", "1e-08"},
                                      {"weight-decay", "0"}}) {
      if (!takes(entry, name)) older += name + " = " + value + "\n";
    }
    write_file(file, older);
    BOOST_TEST((app::settings(completed({"--config", file})) == app::settings(config)), entry.name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
