// Charts as SVG: no scripts, no outside resources, readable on light and dark pages, colours that
// colour-blind people can tell apart (Okabe and Ito 2008), small files whatever the number of points.
//
//   LineChart chart{.title = "Training loss", .x_label = "iteration", .y_label = "loss"};
//   chart.series.push_back({.name = "Adam", .y = losses, .mark = Mark::points});
//   std::string file = draw(chart).markup;
#pragma once

#include <tapestry/models/report/confusion.hpp>

#include <optional>
#include <string>
#include <vector>

namespace tapestry {

/// An <svg> element, well-formed, to be stored as a file or put into a page as it is.
struct Svg {
  std::string markup = {};
};

enum class Mark { line, points, line_points };
enum class Unit { number, percent };  // percent: 0.565 is shown as 56.5%

/// Points that are not finite, and on a log axis those that are not positive, leave a gap.
struct Series {
  std::string name = {};
  std::vector<double> x = {};  // empty: 1, 2, 3, ... as for a loss history
  std::vector<double> y = {};
  Mark mark = Mark::line;
  /// Draws the series itself faintly and a moving average over it, for noisy losses.
  bool smoothed = false;
};

/// Series are told apart by colour and by the shape of their points, in the order in which they were added.
struct LineChart {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  std::vector<Series> series = {};
  bool log_y = false;
  Unit y_unit = Unit::number;
  std::optional<double> y_min = {}, y_max = {};  // what lies outside is cut off
  int width = 720;
  int height = 320;
};

struct Bar {
  std::string label = {};
  double value = 0;
};

/// Horizontal bars from zero, each with its value; a value that is not finite has no bar.
struct BarChart {
  std::string title = {};
  std::vector<Bar> bars = {};
  Unit unit = Unit::number;
  int width = 720;
};

/// A heat map, each row shaded by its share of the row: right answers in one colour, mistakes in another;
/// recall at the right and precision below.
struct ConfusionChart {
  std::string title = {};
  ConfusionMatrix matrix;
  int width = 720;
};

/// Throws Error for a series with x values, but not as many as y values.
Svg draw(const LineChart& chart);
Svg draw(const BarChart& chart);
Svg draw(const ConfusionChart& chart);

/// The moving average of a smoothed series: each value is the mean of all, weighted by exp(-distance /
/// width). Values that are not finite stay out of it and stay as they are.
std::vector<double> moving_average(const std::vector<double>& values, double width);

}  // namespace tapestry
