// The notebook's sections 1.3 and 1.6.
#include "commands.hpp"
#include "models.hpp"
#include "training_run.hpp"

#include <tapestry/models/report/metrics_table.hpp>
#include <tapestry/models/report/run_report.hpp>

#include <algorithm>
#include <iostream>
#include <set>

#include <boost/program_options.hpp>

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace tapestry::app {
namespace {

struct Contender {
  std::string optimizer;
  double learning_rate;
};

struct Planned {
  Config config;
  fs::path folder;
  bool begun;
};

/// Is there a run to go on with? Throws if it has other settings than are asked for now.
bool can_resume(const fs::path& folder, const Config& config) {
  if (!fs::exists(folder / "config.ini")) return false;
  const Config before = read_config(folder / "config.ini");
  const auto check = [&](const std::string& name, const std::string& value) {
    const std::string old = setting(before, name);
    if (name == "threads" || name == "data" || old == value) return;
    throw UsageError(
        text("--resume: the run in ", folder.string(), " has ", name, " = ", old, ", not ", value));
  };
  check("model", config.model);  // other models have other settings
  for (const auto& [name, value] : settings(config)) check(name, value);
  return true;
}

/// Those of all runs, with what some of them alone have a use for; not what they differ in.
std::vector<std::pair<std::string, std::string>> common_settings(std::span<const Planned> runs) {
  std::vector<std::pair<std::string, std::string>> all;
  std::set<std::string> differ;
  for (const Planned& run : runs) {
    for (const auto& line : settings(run.config)) {
      const auto known = std::ranges::find(all, line.first, [](const auto& other) { return other.first; });
      if (known == all.end()) {
        all.push_back(line);
      } else if (known->second != line.second) {
        differ.insert(line.first);
      }
    }
  }
  std::erase_if(all, [&](const auto& line) { return differ.contains(line.first); });
  return all;
}

}  // namespace

int compare(std::span<const std::string> arguments) {
  Config config;
  config.hidden = "100,100,100,100,100";
  config.normalization = "none";
  config.weight_scale = 5e-2;
  config.schedule = "constant";
  config.num_train = 4000;
  config.epochs = 5;
  std::string out = "runs/compare";
  bool resume = false;
  po::options_description options;
  options.add(model_options(config)).add(data_options(config));
  po::options_description run("Run");
  run.add_options()  //
      ("epochs", po::value(&config.epochs)->default_value(config.epochs),
       "passes over the training images")                                                               //
      ("batch-size", po::value(&config.batch_size)->default_value(config.batch_size), "images a step")  //
      ("num-train", po::value(&config.num_train)->default_value(config.num_train),
       "training images, the first ones")                                                       //
      ("out", po::value(&out)->default_value(out), "folder of the five runs and their report")  //
      ("resume", po::bool_switch(&resume),
       "go on with the runs that were begun in that folder, keep those that are done");
  options.add(run);
  Given values;
  if (!parse(arguments, options, "compare [OPTIONS]", values)) return kDone;
  fill_in(config, values, model_entry(config.model).itself);
  refuse_unused(config, values);

  use_threads(config);
  const Contender contenders[] = {
      {"sgd", 1e-2}, {"momentum", 1e-2}, {"nesterov", 1e-2}, {"adam", 1e-3}, {"rmsprop", 2e-4}};
  check_settings(config);
  std::vector<Planned> planned;
  for (const Contender& contender : contenders) {
    config.optimizer = contender.optimizer;
    config.learning_rate = contender.learning_rate;
    const fs::path folder = fs::path(out) / contender.optimizer;
    planned.push_back({config, folder, resume && can_resume(folder, config)});
  }
  const Cifar10Split data = load_data(config);
  for (const Planned& each : planned) {
    if (!each.begun) make_run_folder(each.folder, "--resume");
  }

  std::vector<ComparedRun> runs;
  for (const auto& [run_config, folder, begun] : planned) {
    std::cout << run_config.optimizer << ", learning rate " << run_config.learning_rate << std::endl;
    if (train_run(run_config, data, {folder, begun, "cifar_train compare"}, std::cout).interrupted) {
      std::cout << "interrupted; go on with the same words and --resume\n";
      return kInterrupted;
    }
    runs.push_back({run_config.optimizer, load_metrics(folder / "metrics.csv")});
  }
  const std::string subtitle = text(config.model, "; ", config.num_train, " images, ", config.epochs,
                                    " epochs", data.synthetic ? "; synthetic stand-in images" : "");
  comparison_report("Five update rules", subtitle, runs, common_settings(planned))
      .write(fs::path(out) / "report.html");
  std::cout << '\n'
            << comparison_table(runs).text() << "report: " << (fs::path(out) / "report.html").string()
            << '\n';
  return kDone;
}

}  // namespace tapestry::app
