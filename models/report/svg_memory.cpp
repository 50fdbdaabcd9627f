#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/memory_chart.hpp>
#include <tapestry/models/report/svg_writer.hpp>

#include <algorithm>

namespace tapestry {

Svg draw(const MemoryChart& chart) {
  using charts::text_width;
  const double left = 70, right = 20, top = 56, bottom = 46;
  const double plot_width = chart.width - left - right, plot_height = chart.height - top - bottom;
  const auto peak = double(std::max<std::size_t>(chart.peak, 1));
  const double columns = double(chart.tasks) + 1;  // the last: the end of the step
  const auto x = [&](double task) { return left + plot_width * task / columns; };
  const auto y = [&](double byte) { return top + plot_height * (1 - byte / peak); };

  charts::SvgWriter svg(chart.width, chart.height, chart.title);
  svg.label(left, 24, "start", chart.title, "title");
  for (int i = 0; i <= 4; ++i) {
    const double byte = peak * i / 4;
    svg.grid_line(left, y(byte), left + plot_width, y(byte));
    svg.label(left - 8, y(byte) + 4, "end", format_bytes(std::uint64_t(byte)));
  }
  const std::size_t stride = std::max<std::size_t>(1, (chart.tasks + 9) / 10);
  for (std::size_t t = 0; t < chart.tasks; t += stride)
    svg.label(x(double(t) + 0.5), top + plot_height + 18, "middle", format_count(std::int64_t(t)));
  svg.label(left + plot_width / 2, chart.height - 8, "middle", "task");

  for (const MemoryBlock& block : chart.blocks) {
    const double x0 = x(double(block.first)), x1 = x(double(block.last) + 1);
    const double y0 = y(double(block.offset + block.bytes)), y1 = y(double(block.offset));
    svg.open_colour(block.scratch ? 6 : block.first % 6);
    svg.add("<rect x=\"", x0, "\" y=\"", y0, "\" width=\"", x1 - x0, "\" height=\"", y1 - y0,
            block.scratch ? "\" fill-opacity=\".15\"" : "\" fill-opacity=\".45\"",
            " stroke-width=\".5\"><title>", escape_xml(block.label), ": ",
            format_count(std::int64_t(block.bytes)), " bytes at ", format_count(std::int64_t(block.offset)),
            ", tasks ", std::to_string(block.first), " to ", std::to_string(block.last),
            "</title></rect></g>\n");
    if (y1 - y0 >= 14 && text_width(block.label) + 6 <= x1 - x0)
      svg.label((x0 + x1) / 2, (y0 + y1) / 2 + 4, "middle", block.label, "name");
  }
  svg.add("<g class=\"c1\" stroke=\"currentColor\" stroke-width=\"1.5\" stroke-dasharray=\"5 3\">")
      .add("<path d=\"M", left, " ", top, "L", left + plot_width, " ", top, "\"/></g>\n");
  svg.label(left + plot_width, top - 8, "end", "peak: " + format_count(std::int64_t(chart.peak)) + " bytes",
            "name");
  return std::move(svg).finish();
}

}  // namespace tapestry
