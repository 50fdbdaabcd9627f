// One training run with all that it leaves in its folder: config.ini, metrics.csv, metrics.jsonl,
// last.safetensors, best.safetensors and report.html.
#pragma once

#include "build.hpp"

#include <tapestry/models/trainer.hpp>

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace tapestry::app {

struct RunOptions {
  std::filesystem::path folder;
  bool resume = false;   // from its last checkpoint, if it came to one
  std::string command;   // that repeats it, for the report
  bool profile = false;  // print where the time went and leave profile.txt and trace.json
};

struct RunResult {
  bool interrupted = false;
  double seconds = 0;  // of the whole run, earlier parts included
  double best_validation_accuracy = 0;
  double test_accuracy = 0;      // of the best parameters, on the first 1,000 test images
  double test_accuracy_all = 0;  // on all 10,000
};

/// Trains. Progress goes to `out`. Ctrl-C finishes the step, saves, and returns with `interrupted`.
RunResult train_run(const Config& config, const Cifar10Split& data, const RunOptions& options,
                    std::ostream& out);

/// Makes the folder of a new run; throws if it can't, or if there is a run in it already, which `resume`
/// would go on with.
void make_run_folder(const std::filesystem::path& folder, const std::string& resume);

}  // namespace tapestry::app
