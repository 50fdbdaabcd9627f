#include <tapestry/core/error.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/run_report.hpp>

#include <algorithm>
#include <cmath>

namespace tapestry {
namespace {

Series series_of(const MetricsTable& metrics, std::string name, std::string_view x, std::string_view y,
                 std::string_view kind, Mark mark) {
  MetricPoints points = metrics.points(x, y, kind);
  return {.name = std::move(name), .x = std::move(points.x), .y = std::move(points.y), .mark = mark};
}

// Of the last epoch's steps, since one batch says little. NaN stays NaN.
std::optional<double> final_loss(const MetricsTable& metrics) {
  const MetricPoints losses = metrics.points("epoch", "loss", "step");
  if (losses.y.empty()) return std::nullopt;
  double sum = 0, count = 0;
  for (std::size_t i = losses.y.size(); i-- > 0 && losses.x[i] == losses.x.back();) {
    sum += losses.y[i];
    ++count;
  }
  return sum / count;
}

std::string show_percent(std::optional<double> fraction) {
  return fraction ? format_percent(*fraction) : "–";
}

// "epoch 8 of 10"
std::string best_epoch(const MetricsTable& metrics, std::string_view column) {
  const MetricPoints points = metrics.points("epoch", column, "epoch");
  if (points.y.empty()) return "";
  std::size_t best = 0;
  for (std::size_t i = 1; i < points.y.size(); ++i) {
    if (points.y[i] > points.y[best] || std::isnan(points.y[best])) best = i;
  }
  return text("epoch ", format_significant(points.x[best], 9), " of ",
              format_significant(points.x.back(), 9));
}

TextTable epoch_table(const MetricsTable& metrics) {
  using Format = std::string (*)(double);
  struct Shown {
    const char* column;
    const char* name;
    Format format;
  };
  const Format number = [](double v) { return format_significant(v, 4); };
  const Format loss = [](double v) {  // as many decimals in each row, unless the loss is out of all bounds
    return std::abs(v) >= 1e-3 && std::abs(v) < 1e4 ? format_fixed(v, 4) : format_significant(v, 4);
  };
  const Format percent = [](double v) { return format_percent(v, 1); };
  const Shown all[] = {{"epoch", "epoch", number},
                       {"loss", "loss", loss},
                       {"train_accuracy", "training accuracy", percent},
                       {"validation_accuracy", "validation accuracy", percent},
                       {"test_accuracy", "test accuracy", percent},
                       {"learning_rate", "learning rate", number},
                       {"seconds", "time", format_duration}};
  std::vector<Shown> shown;
  std::vector<TextTable::Column> columns;
  for (const Shown& column : all) {
    if (metrics.points("epoch", column.column, "epoch").x.empty()) continue;
    shown.push_back(column);
    columns.push_back({column.name, TextTable::Align::right});
  }
  TextTable table(std::move(columns));
  for (std::size_t row = 0; row < metrics.rows(); ++row) {
    if (!metrics.has("kind") || metrics.cell(row, "kind") != "epoch") continue;
    TextTable::Row cells;
    for (const Shown& column : shown) {
      const std::optional<double> value = metrics.number(row, column.column);
      cells.push_back(value ? column.format(*value) : "");
    }
    table.row(std::move(cells));
  }
  return table;
}

}  // namespace

LineChart loss_chart(const MetricsTable& metrics) {
  LineChart chart{
      .title = "Training loss", .x_label = "iteration", .y_label = "loss", .width = 1040, .height = 330};
  Series loss = series_of(metrics, "training loss", "iteration", "loss", "step", Mark::line);
  loss.smoothed = true;
  double low = INFINITY, high = 0;
  for (const double value : loss.y) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  chart.log_y = low > 0 && high > 100 * low;
  chart.series.push_back(std::move(loss));
  return chart;
}

namespace {

/// Accuracies of epochs over the column `x`.
LineChart accuracies(const MetricsTable& metrics, std::string_view x) {
  LineChart chart{.y_label = "accuracy", .y_unit = Unit::percent, .width = 520, .height = 330};
  for (const auto& [column, name] :
       {std::pair("train_accuracy", "training"), std::pair("validation_accuracy", "validation"),
        std::pair("test_accuracy", "test")}) {
    Series series = series_of(metrics, name, x, column, "epoch", Mark::line_points);
    if (!series.y.empty()) chart.series.push_back(std::move(series));
  }
  return chart;
}

}  // namespace

LineChart accuracy_chart(const MetricsTable& metrics) {
  LineChart chart = accuracies(metrics, "epoch");
  chart.title = "Accuracy";
  chart.x_label = "epoch";
  return chart;
}

LineChart accuracy_time_chart(const MetricsTable& metrics) {
  LineChart chart = accuracies(metrics, "seconds");
  chart.title = "Accuracy against time";
  double longest = 0;
  for (const Series& series : chart.series) longest = std::max(longest, series.x.back());
  const auto [unit, seconds] = longest < 180        ? std::pair("seconds", 1.0)
                               : longest < 3 * 3600 ? std::pair("minutes", 60.0)
                                                    : std::pair("hours", 3600.0);
  chart.x_label = unit;
  for (Series& series : chart.series)
    for (double& x : series.x) x /= seconds;
  return chart;
}

std::vector<LineChart> comparison_charts(std::span<const ComparedRun> runs) {
  std::vector<LineChart> charts = {
      {.title = "Training loss", .x_label = "iteration", .y_label = "loss"},
      {.title = "Training accuracy", .x_label = "epoch", .y_label = "accuracy", .y_unit = Unit::percent},
      {.title = "Validation accuracy", .x_label = "epoch", .y_label = "accuracy", .y_unit = Unit::percent}};
  for (LineChart& chart : charts) {
    chart.width = 1040;
    chart.height = 360;
  }
  for (const ComparedRun& run : runs) {
    const auto add = [&](LineChart& chart, std::string_view x, std::string_view y, std::string_view kind,
                         Mark mark) {
      chart.series.push_back(series_of(run.metrics, run.name, x, y, kind, mark));
    };
    add(charts[0], "iteration", "loss", "step", Mark::points);
    add(charts[1], "epoch", "train_accuracy", "epoch", Mark::line_points);
    add(charts[2], "epoch", "validation_accuracy", "epoch", Mark::line_points);
  }
  return charts;
}

TextTable comparison_table(std::span<const ComparedRun> runs) {
  constexpr auto kRight = TextTable::Align::right;
  TextTable table({{"run"},
                   {"final loss", kRight},
                   {"best training accuracy", kRight},
                   {"best validation accuracy", kRight},
                   {"time", kRight}});
  for (const ComparedRun& run : runs) {
    const auto loss = final_loss(run.metrics);
    const auto seconds = run.metrics.last("seconds");
    table.row({run.name, loss ? format_significant(*loss, 4) : "–",
               show_percent(run.metrics.best("train_accuracy")),
               show_percent(run.metrics.best("validation_accuracy")),
               seconds ? format_duration(*seconds) : "–"});
  }
  return table;
}

void add_predictions(HtmlReport& report, const ConfusionMatrix& confusion,
                     std::span<const Gallery> galleries) {
  report.section("Which classes are taken for which").figure(draw(ConfusionChart{"", confusion, 1040}));
  for (const Gallery& gallery : galleries) report.section(gallery.title).gallery(gallery);
}

HtmlReport training_report(const RunSummary& run) {
  HtmlReport report(run.title, run.subtitle);
  if (const auto best = run.metrics.best("validation_accuracy")) {
    report.card("Best validation accuracy", format_percent(*best),
                best_epoch(run.metrics, "validation_accuracy"));
  }
  if (run.test_accuracy)
    report.card("Test accuracy", format_percent(*run.test_accuracy), "with the best parameters");
  if (const auto loss = final_loss(run.metrics)) {
    report.card("Final loss", format_significant(*loss, 4), "mean of the last epoch");
  }
  const auto seconds = run.seconds ? run.seconds : run.metrics.last("seconds");
  if (seconds) report.card("Time", format_duration(*seconds));
  if (run.parameters) report.card("Parameters", format_count(*run.parameters));

  for (const std::string& notice : run.notices) report.notice(notice);
  report.section("Curves").figure(draw(loss_chart(run.metrics)));
  report.figures({draw(accuracy_chart(run.metrics)), draw(accuracy_time_chart(run.metrics))});
  const TextTable epochs = epoch_table(run.metrics);
  if (!epochs.rows().empty()) report.section("Epochs").table(epochs);
  if (run.confusion) add_predictions(report, *run.confusion, run.galleries);
  if (!run.config.empty()) report.section("Configuration").key_values(run.config);
  if (!run.command.empty()) report.section("To repeat it").code(run.command);
  return report;
}

HtmlReport comparison_report(std::string title, std::string subtitle, std::span<const ComparedRun> runs,
                             const std::vector<std::pair<std::string, std::string>>& config) {
  HtmlReport report(std::move(title), std::move(subtitle));
  const ComparedRun *most_accurate = nullptr, *lowest_loss = nullptr;
  double accuracy = 0, loss = 0, seconds = 0;
  for (const ComparedRun& run : runs) {
    const auto run_accuracy = run.metrics.best("validation_accuracy"), run_loss = final_loss(run.metrics);
    if (run_accuracy && (most_accurate == nullptr || *run_accuracy > accuracy)) {
      most_accurate = &run;
      accuracy = *run_accuracy;
    }
    if (run_loss && !std::isnan(*run_loss) && (lowest_loss == nullptr || *run_loss < loss)) {
      lowest_loss = &run;
      loss = *run_loss;
    }
    seconds += run.metrics.last("seconds").value_or(0);
  }
  if (most_accurate) report.card("Best validation accuracy", format_percent(accuracy), most_accurate->name);
  if (lowest_loss) report.card("Lowest final loss", format_significant(loss, 4), lowest_loss->name);
  if (seconds > 0) report.card("Time", format_duration(seconds), text("for ", runs.size(), " runs"));
  report.section("Curves");
  for (const LineChart& chart : comparison_charts(runs)) report.figure(draw(chart));
  report.section("Runs").table(comparison_table(runs));
  if (!config.empty()) report.section("Configuration").key_values(config);
  return report;
}

}  // namespace tapestry
