// The pages that `cifar_train train` and `cifar_train compare` leave behind, made from the metrics of the
// runs.
//
//   RunSummary run{.title = "adam-500x3", .metrics = load_metrics(folder / "metrics.csv")};
//   run.test_accuracy = 0.561;
//   training_report(run).write(folder / "report.html");
//
//   const std::vector<ComparedRun> runs = {{"sgd", load_metrics("runs/sgd/metrics.csv")}, ...};
//   comparison_report("Five update rules", "6-layer network, 4,000 images",
//   runs).write("runs/compare/report.html");
#pragma once

#include <tapestry/models/report/html.hpp>
#include <tapestry/models/report/metrics_table.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tapestry {

/// Metrics have the columns of metrics_columns(); what a run didn't record is left out of its page.
struct RunSummary {
  std::string title = {};
  std::string subtitle = {};
  MetricsTable metrics;
  std::optional<double> test_accuracy = {};
  std::optional<std::int64_t> parameters = {};
  std::optional<double> seconds = {};  // of the whole run; else the last of the metrics
  std::vector<std::pair<std::string, std::string>> config = {};
  std::optional<ConfusionMatrix> confusion = {};
  std::vector<Gallery> galleries = {};  // shown after it
  std::string command = {};             // that repeats the run
  std::vector<std::string> notices =
      {};  // "Interrupted after epoch 3.", "Trained on a stand-in for CIFAR-10."
};

struct ComparedRun {
  std::string name;
  MetricsTable metrics;
};

/// The loss of each step with its moving average; logarithmic where it spans more than two decades.
LineChart loss_chart(const MetricsTable& metrics);
/// Training, validation and test accuracy by epoch.
LineChart accuracy_chart(const MetricsTable& metrics);
/// The same by minutes, or whatever unit suits the run, since its start.
LineChart accuracy_time_chart(const MetricsTable& metrics);
/// The notebook's three plots of all runs: training loss by iteration, training and validation accuracy by
/// epoch.
std::vector<LineChart> comparison_charts(std::span<const ComparedRun> runs);
/// Final loss (mean of the last epoch), best accuracies and time of each run.
TextTable comparison_table(std::span<const ComparedRun> runs);

/// The sections that show a trained model: which classes are taken for which, and its galleries.
void add_predictions(HtmlReport& report, const ConfusionMatrix& confusion,
                     std::span<const Gallery> galleries);

HtmlReport training_report(const RunSummary& run);
HtmlReport comparison_report(std::string title, std::string subtitle, std::span<const ComparedRun> runs,
                             const std::vector<std::pair<std::string, std::string>>& config = {});

}  // namespace tapestry
