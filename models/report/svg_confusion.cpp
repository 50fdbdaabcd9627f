#include <tapestry/core/error.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/svg.hpp>
#include <tapestry/models/report/svg_writer.hpp>

#include <algorithm>
#include <cmath>

namespace tapestry {

using charts::SvgWriter;
using charts::text_width;

namespace {

std::string share(double fraction) { return std::isnan(fraction) ? "–" : format_percent(fraction, 0); }

}  // namespace

Svg draw(const ConfusionChart& chart) {
  const ConfusionMatrix& matrix = chart.matrix;
  const std::size_t n = matrix.classes.size();
  require(matrix.counts.size() == n * n, "confusion matrix '", chart.title, "': ", matrix.counts.size(),
          " counts for ", n, " classes");
  if (n == 0) {
    SvgWriter svg(chart.width, 64, chart.title);
    svg.label(0, 20, "start", chart.title, "title").label(chart.width / 2.0, 50, "middle", "no data");
    return std::move(svg).finish();
  }

  double names = 0;
  std::size_t digits = 1;
  for (const std::string& name : matrix.classes) names = std::max(names, std::min(text_width(name), 160.0));
  for (const std::int64_t count : matrix.counts) digits = std::max(digits, std::to_string(count).size());
  const double left = names + 34, recall_width = 56;
  const double cell = std::max(1.0, (chart.width - left - recall_width) / double(n));
  const double row = std::min(cell, 40.0);
  const bool turned = names + 6 > cell;
  const bool named = row >= 11, counted = row >= 14 && cell >= 7.0 * double(digits) + 4;
  const double top = (chart.title.empty() ? 8 : 36) + 22 + (!named ? 0 : turned ? names * 0.64 + 12 : 18);
  const double bottom = top + row * double(n), right = left + cell * double(n);

  SvgWriter svg(chart.width, bottom + 34, chart.title);
  if (!chart.title.empty()) svg.label(left, 20, "start", chart.title, "title");
  svg.label((left + right) / 2, chart.title.empty() ? 18 : 46, "middle", "predicted class");
  svg.label(13, (top + bottom) / 2, "middle", "true class", "", -90);
  svg.label(right + 10, top - 8, "start", "recall").label(left - 8, bottom + 22, "end", "precision");

  for (std::size_t t = 0; t < n; ++t) {
    const double y = top + row * double(t);
    const std::string truth = shorten(matrix.classes[t], 24);
    if (named) {
      svg.label(left - 8, y + row / 2 + 4, "end", truth, "name");
      const double x = left + cell * (double(t) + 0.5);
      if (turned) {
        svg.label(x - 2, top - 8, "start", truth, "name", -40);
      } else {
        svg.label(x, top - 8, "middle", truth, "name");
      }
      svg.label(right + 10, y + row / 2 + 4, "start", share(matrix.recall(t)), "name");
      if (cell >= 26) {
        svg.label(x, bottom + 22, "middle", share(matrix.precision(t)), "name");
      }
    }
    const auto total = double(matrix.row_total(t));
    for (std::size_t p = 0; p < n; ++p) {
      const double fraction = total > 0 ? double(matrix.at(t, p)) / total : 0;
      // A power below 1 shows small shares of mistakes too.
      const double shade = matrix.at(t, p) > 0 ? 0.04 + 0.96 * std::pow(fraction, 0.7) : 0;
      const double x = left + cell * double(p);
      const std::string count = std::to_string(matrix.at(t, p));
      std::string opacity = format_fixed(shade, 3);
      svg.open_colour(t == p ? 0 : 1)
          .add("<rect stroke=\"none\" fill-opacity=\"", opacity, "\" x=\"", x + 0.5, "\" y=\"", y + 0.5,
               "\" width=\"", std::max(0.5, cell - 1), "\" height=\"", std::max(0.5, row - 1), "\"><title>",
               escape_xml(matrix.classes[t]), " taken for ", escape_xml(matrix.classes[p]), ": ", count,
               " of ", std::to_string(matrix.row_total(t)), "</title></rect></g>");
      if (counted && matrix.at(t, p) != 0) {
        svg.label(x + cell / 2, y + row / 2 + 4, "middle", count, shade > 0.8 ? "on" : "name");
      }
      svg.add("\n");
    }
  }
  svg.add("<path class=\"edge\" fill=\"none\" d=\"M", left, " ", top, "H", right, "V", bottom, "H", left,
          "Z\"/>\n");
  svg.label(right + 10, bottom + 22, "start", share(matrix.accuracy()), "name");
  return std::move(svg).finish();
}

}  // namespace tapestry
