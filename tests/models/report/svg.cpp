#include <tapestry/core/error.hpp>
#include <tapestry/models/report/svg.hpp>
#include <tapestry/tests/support/special_numbers.hpp>
#include <tapestry/tests/support/xml_check.hpp>

#include <cmath>
#include <limits>
#include <numbers>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using tapestry::test::occurrences;
using tapestry::test::xml_problem;
using test::kInf;
using test::kNan;

namespace {

constexpr double kMax = std::numeric_limits<double>::max();

// Well-formed, and no number that isn't one has leaked into a coordinate.
std::string checked(const LineChart& chart) {
  const std::string markup = draw(chart).markup;
  BOOST_TEST(xml_problem(markup) == "", chart.title);
  for (const char* bad : {"\"nan", " nan", "Lnan", "Mnan", " inf", "-inf", "e+"}) {
    BOOST_TEST(markup.find(bad) == std::string::npos, chart.title << " has " << bad);
  }
  return markup;
}

LineChart chart_of(std::vector<double> y, Mark mark = Mark::line) {
  return {.title = "t", .series = {{.name = "s", .y = std::move(y), .mark = mark}}};
}

std::string line_path(const std::string& markup) {
  const std::size_t start = markup.find(" d=\"", markup.find("stroke-linejoin"));
  return start == std::string::npos ? "" : markup.substr(start + 4, markup.find('"', start + 4) - start - 4);
}

std::vector<double> noise(std::size_t n) {
  std::vector<double> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(std::fmod(double(i) * std::numbers::phi, 1.0));
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(svg)

BOOST_AUTO_TEST_CASE(edges_of_line_charts) {
  for (const Mark mark : {Mark::line, Mark::points, Mark::line_points}) {
    for (const bool log_y : {false, true}) {
      for (const std::vector<double>& y : std::vector<std::vector<double>>{{},
                                                                           {1},
                                                                           {0},
                                                                           {kNan, kInf, -kInf},
                                                                           {2, 2, 2},
                                                                           {0, 0},
                                                                           {-3, -3},
                                                                           {1, kNan, 3, kInf, 2},
                                                                           {kMax, -kMax},
                                                                           {5e-324, 1e-310},
                                                                           {1, 1 + 1e-15},
                                                                           {1e-300, 1e300},
                                                                           {1e15, 1e15 + 1},
                                                                           {-1e-7, 1e-7}}) {
        LineChart chart = chart_of(y, mark);
        chart.title = "case of " + std::to_string(y.size());
        chart.log_y = log_y;
        checked(chart);
        chart.y_unit = Unit::percent;
        chart.series[0].smoothed = true;
        chart.y_min = 0;
        checked(chart);
        chart.y_max = 0.5;
        checked(chart);
        chart.y_max = kNan;
        checked(chart);
      }
    }
  }
  BOOST_TEST(checked({.title = "no series at all"}).find(">no data<") != std::string::npos);
  BOOST_TEST(checked(chart_of({kNan})).find(">no data<") != std::string::npos);
  BOOST_TEST(checked(chart_of({1})).find(">no data<") == std::string::npos);
  LineChart tiny = chart_of({1, 2});
  tiny.width = tiny.height = 0;
  checked(tiny);
}

BOOST_AUTO_TEST_CASE(a_gap_splits_the_line_and_a_lone_point_is_a_dot) {
  BOOST_TEST(occurrences(line_path(checked(chart_of({1, 2, 3}))), "M") == 1);
  const std::string path = line_path(checked(chart_of({1, 2, kNan, 3, kNan, kNan, 4, 5})));
  BOOST_TEST(occurrences(path, "M") == 3);
  BOOST_TEST(occurrences(path, "h0") == 1);
  LineChart logarithmic = chart_of({1, 2, 0, 3, 4, -1, 5, 6});
  logarithmic.log_y = true;
  BOOST_TEST(occurrences(line_path(checked(logarithmic)), "M") == 3);
}

BOOST_AUTO_TEST_CASE(larger_values_are_higher_and_later_ones_further_right) {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  BOOST_REQUIRE(
      std::sscanf(line_path(checked(chart_of({1, 2}))).c_str(), "M%lf %lfL%lf %lf", &x1, &y1, &x2, &y2) == 4);
  BOOST_TEST(x1 < x2);
  BOOST_TEST(y1 > y2);
}

BOOST_AUTO_TEST_CASE(ticks_are_round) {
  const std::string linear = checked(chart_of({0.13, 0.58}));
  for (const char* label : {">0.1<", ">0.2<", ">0.6<"})
    BOOST_TEST(linear.find(label) != std::string::npos, label);
  LineChart chart = chart_of({0.13, 0.58});
  chart.y_unit = Unit::percent;
  BOOST_TEST(checked(chart).find(">60%<") != std::string::npos);
  chart = chart_of({0.002, 150});
  chart.log_y = true;
  const std::string decades = checked(chart);
  for (const char* label : {">0.001<", ">0.1<", ">1<", ">1,000<"})
    BOOST_TEST(decades.find(label) != std::string::npos, label);
  chart = chart_of({2.1, 4.5});
  chart.log_y = true;
  const std::string within = checked(chart);
  BOOST_TEST(within.find(">2<") != std::string::npos);
  BOOST_TEST(within.find(">5<") != std::string::npos);
  // Three epochs: no ticks at halves.
  BOOST_TEST(checked(chart_of({7, 8, 9})).find(">1.5<") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(huge_values_stay_on_the_chart) {
  const std::string markup = checked(chart_of({kMax, -kMax, 1}));
  BOOST_TEST(markup.find("100000") == std::string::npos);
  BOOST_TEST(markup.find(">-1e300<") != std::string::npos);
  BOOST_TEST(markup.find(">0<") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(limits_clip) {
  LineChart chart = chart_of({0, 1, 1000});
  chart.y_max = 2;
  const std::string markup = checked(chart);
  BOOST_TEST(occurrences(markup, "<svg") == 2);
  BOOST_TEST(markup.find(">1,000<") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(many_points_stay_small) {
  for (const Mark mark : {Mark::line, Mark::points, Mark::line_points}) {
    LineChart chart = chart_of(noise(100000), mark);
    chart.series[0].smoothed = true;
    BOOST_TEST(checked(chart).size() < 150000);
  }
  std::vector<double> gaps = noise(100000);
  for (std::size_t i = 0; i < gaps.size(); i += 2) gaps[i] = kNan;
  BOOST_TEST(checked(chart_of(gaps)).size() < 100000);
}

BOOST_AUTO_TEST_CASE(thinning_out_keeps_the_extremes) {
  std::vector<double> y(50000, 1.0);
  y[12345] = 9;
  y[40000] = -9;
  const std::string path = line_path(checked(chart_of(y)));
  const std::string small = line_path(checked(chart_of({1, 9, 1, -9, 1})));
  // Both reach the same heights.
  const auto heights = [](const std::string& text) {
    double low = 1e9, high = -1e9;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] != 'M' && text[at] != 'L') continue;
      double px = 0, py = 0;
      std::sscanf(text.c_str() + at + 1, "%lf %lf", &px, &py);
      low = std::min(low, py);
      high = std::max(high, py);
    }
    return std::pair(low, high);
  };
  BOOST_TEST((heights(path) == heights(small)));
}

BOOST_AUTO_TEST_CASE(text_is_escaped) {
  LineChart chart{.title = "<script>&\"'", .x_label = "a<b", .y_label = "c&d"};
  chart.series = {{.name = "<x>", .y = {1}, .mark = Mark::points},
                  {.name = "\xFF&", .y = {1}, .mark = Mark::line_points}};
  const std::string markup = checked(chart);
  BOOST_TEST(markup.find("<script>") == std::string::npos);
  BOOST_TEST(occurrences(markup, "&lt;script&gt;") == 2);
  ConfusionMatrix matrix({"<a>", "&b"});
  matrix.add(0, 1, 2);
  BOOST_TEST(xml_problem(draw(ConfusionChart{"<t>", matrix}).markup) == "");
  BOOST_TEST(xml_problem(draw(BarChart{"<t>", {{"<a>", 1}}}).markup) == "");
}

BOOST_AUTO_TEST_CASE(a_legend_for_two_series_and_more) {
  LineChart chart = chart_of({1, 2});
  BOOST_TEST(checked(chart).find(">s</text>") == std::string::npos);
  for (int i = 0; i < 20; ++i) chart.series.push_back({.name = "series " + std::to_string(i), .y = {1, 2}});
  const std::string markup = checked(chart);
  BOOST_TEST(markup.find(">series 19</text>") != std::string::npos);
  BOOST_TEST(markup.find("stroke-dasharray") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_CHECK_EXCEPTION(draw(LineChart{.title = "Loss", .series = {{.name = "a", .x = {1}, .y = {1, 2}}}}),
                        Error, [](const Error& e) {
                          return std::string(e.what()) == "chart 'Loss': series 'a' has 1 x and 2 y values";
                        });
  ConfusionMatrix matrix({"a"});
  matrix.counts.clear();
  BOOST_CHECK_THROW(draw(ConfusionChart{"t", matrix}), Error);
}

BOOST_AUTO_TEST_CASE(moving_averages) {
  BOOST_TEST(moving_average({}, 3).empty());
  for (const double v : moving_average({2, 2, 2, 2}, 3))
    BOOST_TEST(v == 2, boost::test_tools::tolerance(1e-14));
  // The definition.
  const std::vector<double> y = {1, kNan, 4, -2, 10};
  const std::vector<double> average = moving_average(y, 1.5);
  BOOST_TEST(std::isnan(average[1]));
  for (const int i : {0, 2, 3, 4}) {
    double sum = 0, weights = 0;
    for (const int j : {0, 2, 3, 4}) {
      const double w = std::exp(-std::abs(i - j) / 1.5);
      sum += w * y[std::size_t(j)];
      weights += w;
    }
    BOOST_TEST(average[std::size_t(i)] == sum / weights, boost::test_tools::tolerance(1e-12));
  }
}

BOOST_AUTO_TEST_CASE(bar_charts) {
  for (const std::vector<Bar>& bars : std::vector<std::vector<Bar>>{{},
                                                                    {{"a", 0}},
                                                                    {{"a", kNan}, {"b", -kInf}},
                                                                    {{"a", -1}, {"b", 2}},
                                                                    {{"a", kMax}, {"b", -kMax}},
                                                                    {{std::string(500, 'x'), 1}}}) {
    const std::string markup = draw(BarChart{"Bars", bars}).markup;
    BOOST_TEST(xml_problem(markup) == "");
    BOOST_TEST(markup.find("=\"nan") == std::string::npos);
  }
  const std::string markup = draw(BarChart{"", {{"a", 0.25}, {"b", kNan}}, Unit::percent}).markup;
  BOOST_TEST(occurrences(markup, "<rect") == 1);
  BOOST_TEST(markup.find(">25.0%<") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(confusion) {
  ConfusionMatrix matrix({"cat", "dog", "never"});
  matrix.add(0, 0, 30);
  matrix.add(0, 1, 10);
  matrix.add(1, 1, 1000000);
  const std::string markup = draw(ConfusionChart{"", matrix}).markup;
  BOOST_TEST(xml_problem(markup) == "");
  BOOST_TEST(occurrences(markup, "<rect") == 9);
  BOOST_TEST(markup.find("cat taken for dog: 10 of 40") != std::string::npos);
  BOOST_TEST(markup.find("fill-opacity=\"1.000\"") != std::string::npos);
  for (const std::size_t n : {0, 1, 10, 100}) {
    ConfusionMatrix many(std::vector<std::string>(n, "a class with a long name"));
    BOOST_TEST(xml_problem(draw(ConfusionChart{"t", many, 300}).markup) == "");
  }
}

BOOST_AUTO_TEST_SUITE_END()
