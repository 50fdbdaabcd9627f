#include "commands.hpp"
#include "training_run.hpp"

#include <tapestry/models/report/format.hpp>

#include <ctime>
#include <iostream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace tapestry::app {
namespace {

/// runs/2026-03-01-142500
fs::path fresh_folder() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char name[32];
  std::strftime(name, sizeof name, "%Y-%m-%d-%H%M%S", &local);
  return fs::path("runs") / name;
}

std::string joined(std::span<const std::string> arguments) {
  std::string command = "cifar_train train";
  for (const std::string& argument : arguments) command += ' ' + argument;
  return command;
}

}  // namespace

int train(std::span<const std::string> arguments) {
  Config config;
  std::string out, resume;
  bool profile = false;
  po::options_description options;
  options.add(model_options(config)).add(training_options(config)).add(data_options(config));
  po::options_description run("Run");
  run.add_options()                                                            //
      ("out", po::value(&out), "the run folder; default: runs/ and the time")  //
      ("resume", po::value(&resume),
       "go on with the run in this folder, with its settings; --epochs, --threads, --data and --tta may "
       "change")  //
      ("profile", po::bool_switch(&profile),
       "print where the time goes, and leave profile.txt and trace.json (for https://ui.perfetto.dev) in the "
       "run "
       "folder");
  options.add(run);
  Given values;
  if (!parse(arguments, options, "train [OPTIONS]", values)) return kDone;
  complete(config, values);

  if (!resume.empty()) {
    if (!out.empty()) throw UsageError("--resume goes on in the run's own folder; leave out --out");
    Config stored = read_config(fs::path(resume) / "config.ini");
    for (const auto& [name, value] : values) {
      if (value.defaulted() || name == "resume" || name == "profile") continue;
      if (name == "epochs") {
        stored.epochs = config.epochs;
      } else if (name == "threads") {
        stored.threads = config.threads;
      } else if (name == "data") {
        stored.data = config.data;
      } else if (name == "tta") {
        stored.tta = config.tta;
      } else {
        throw UsageError(text("--", name, " can't change when a run is resumed"));
      }
    }
    config = stored;
  } else {
    refuse_unused(config, values);
  }
  use_threads(config);
  const RunOptions where{resume.empty() ? (out.empty() ? fresh_folder() : fs::path(out)) : fs::path(resume),
                         !resume.empty(), joined(arguments), profile};
  check_settings(config);
  const Cifar10Split data = load_data(config);
  if (!where.resume) make_run_folder(where.folder, "--resume " + where.folder.string());

  const RunResult result = train_run(config, data, where, std::cout);
  if (data.validation.size() > 0) {
    std::cout << "best validation accuracy " << format_fixed(result.best_validation_accuracy, 4)
              << ", with those parameters";
  } else {
    std::cout << "accuracy with the last parameters";
  }
  std::cout << " on the test images " << format_fixed(result.test_accuracy_all, 4) << " (all 10,000), "
            << format_fixed(result.test_accuracy, 4) << " (the first 1,000); "
            << format_duration(result.seconds) << "\nreport: " << (where.folder / "report.html").string()
            << '\n';
  if (result.interrupted) {
    std::cout << "interrupted; go on with: cifar_train train --resume " << where.folder.string() << '\n';
    return kInterrupted;
  }
  return kDone;
}

}  // namespace tapestry::app
