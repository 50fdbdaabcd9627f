#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/svg.hpp>
#include <tapestry/models/report/svg_axis.hpp>
#include <tapestry/models/report/svg_writer.hpp>

#include <algorithm>
#include <cmath>

namespace tapestry {

using charts::Range;
using charts::SvgWriter;
using charts::text_width;

Svg draw(const BarChart& chart) {
  constexpr double kRow = 26, kBar = 16;
  const auto show = [&](double value) {
    return chart.unit == Unit::percent ? format_percent(value) : format_significant(value);
  };
  Range range;
  range.add(0);
  double labels = 0, values = 0;
  for (const Bar& bar : chart.bars) {
    range.add(bar.value);
    labels = std::max(labels, text_width(bar.label));
    values = std::max(values, text_width(show(bar.value)));
  }
  if (range.low == range.high) range.high = 1;
  const auto fraction = [&](double value) {
    return (std::clamp(value, range.low, range.high) - range.low) / (range.high - range.low);
  };

  labels = std::min(labels, chart.width * 0.4);
  const double before = range.low < 0 ? values + 8 : 0;  // room for the values of negative bars
  const double left = labels + 12 + before;
  const double width = std::max(40.0, chart.width - left - values - 20);
  const double top = chart.title.empty() ? 8 : 36;
  const double bottom = top + kRow * double(std::max<std::size_t>(1, chart.bars.size()));
  SvgWriter svg(chart.width, bottom + 8, chart.title);
  if (!chart.title.empty()) svg.label(0, 20, "start", chart.title, "title");
  if (chart.bars.empty()) svg.label(chart.width / 2.0, top + 18, "middle", "no data");

  const double zero = left + fraction(0) * width;
  for (std::size_t i = 0; i < chart.bars.size(); ++i) {
    const Bar& bar = chart.bars[i];
    const double y = top + kRow * double(i);
    const auto characters = std::size_t(std::max(1.0, labels / text_width("x")));
    svg.label(labels + 2, y + 17, "end", shorten(bar.label, characters + 1), "name");
    if (!std::isfinite(bar.value)) {
      svg.label(zero + 6, y + 17, "start", show(bar.value));
      continue;
    }
    const double end = left + fraction(bar.value) * width;
    svg.open_colour(0)
        .add("<rect stroke=\"none\" rx=\"2\" x=\"", std::min(zero, end), "\" y=\"", y + (kRow - kBar) / 2,
             "\" width=\"", std::abs(end - zero), "\" height=\"", kBar, "\"/></g>\n")
        .label(bar.value < 0 ? end - 6 : end + 6, y + 17, bar.value < 0 ? "end" : "start", show(bar.value));
  }
  svg.add("<path class=\"edge\" d=\"M", zero, " ", top, "V", bottom, "\"/>\n");
  return std::move(svg).finish();
}

}  // namespace tapestry
