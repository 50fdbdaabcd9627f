// The notebook's sections 1.3 and 1.6.
#include "commands.hpp"
#include "training_run.hpp"

#include <tapestry/models/report/metrics_table.hpp>
#include <tapestry/models/report/run_report.hpp>

#include <iostream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace tapestry::app {
namespace {

struct Contender {
  std::string optimizer;
  double learning_rate;
};

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
  po::options_description options;
  options.add(model_options(config)).add(data_options(config));
  po::options_description run("Run");
  run.add_options()  //
      ("epochs", po::value(&config.epochs)->default_value(config.epochs),
       "passes over the training images")                                                               //
      ("batch-size", po::value(&config.batch_size)->default_value(config.batch_size), "images a step")  //
      ("num-train", po::value(&config.num_train)->default_value(config.num_train),
       "training images, the first ones")  //
      ("out", po::value(&out)->default_value(out), "folder of the five runs and their report");
  options.add(run);
  po::variables_map values;
  if (!parse(arguments, options, "compare [OPTIONS]", values)) return kDone;

  use_threads(config);
  const Contender contenders[] = {
      {"sgd", 1e-2}, {"momentum", 1e-2}, {"nesterov", 1e-2}, {"adam", 1e-3}, {"rmsprop", 2e-4}};
  check_settings(config);
  const Cifar10Split data = load_data(config);
  for (const Contender& contender : contenders) make_run_folder(fs::path(out) / contender.optimizer);

  std::vector<ComparedRun> runs;
  for (const Contender& contender : contenders) {
    config.optimizer = contender.optimizer;
    config.learning_rate = contender.learning_rate;
    const fs::path folder = fs::path(out) / contender.optimizer;
    std::cout << contender.optimizer << ", learning rate " << contender.learning_rate << std::endl;
    if (train_run(config, data, {folder, false, "cifar_train compare"}, std::cout).interrupted)
      return kInterrupted;
    runs.push_back({contender.optimizer, load_metrics(folder / "metrics.csv")});
  }
  const std::string subtitle =
      text("hidden layers ", config.hidden, "; ", config.num_train, " images, ", config.epochs, " epochs",
           data.synthetic ? "; synthetic stand-in images" : "");
  comparison_report("Five update rules", subtitle, runs, settings(config))
      .write(fs::path(out) / "report.html");
  std::cout << '\n'
            << comparison_table(runs).text() << "report: " << (fs::path(out) / "report.html").string()
            << '\n';
  return kDone;
}

}  // namespace tapestry::app
