#include <tapestry/core/error.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/svg.hpp>
#include <tapestry/models/report/svg_axis.hpp>
#include <tapestry/models/report/svg_writer.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace tapestry {

using charts::Axis;
using charts::Range;
using charts::SvgWriter;
using charts::text_width;
using charts::Tick;

namespace {

constexpr std::size_t kTooltips = 60;  // up to here each point has a shape and a tooltip,
constexpr std::size_t kShapes = 400;   // up to here a shape,
constexpr std::size_t kDots = 4000;    // and a cloud of more than this many dots is thinned out
constexpr std::size_t kColours = 8;

struct Pixel {
  double x = 0, y = 0;
  std::size_t index = 0;  // in the series
  bool gap = false;
};

struct Frame {
  double left = 0, top = 0, width = 0, height = 0;
  Axis x, y;

  double px(double value) const { return left + x.position(value) * width; }
  double py(double value) const { return top + (1 - y.position(value)) * height; }
};

double x_of(const Series& series, std::size_t i) { return series.x.empty() ? double(i + 1) : series.x[i]; }

bool drawable(double x, double y, bool log_y) {
  return std::isfinite(x) && std::isfinite(y) && (!log_y || y > 0);
}

std::vector<Pixel> to_pixels(const Series& series, const std::vector<double>& values, const Frame& frame,
                             bool log_y) {
  std::vector<Pixel> pixels;
  pixels.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (drawable(x_of(series, i), values[i], log_y)) {
      pixels.push_back({frame.px(x_of(series, i)), frame.py(values[i]), i, false});
    } else if (!pixels.empty() && !pixels.back().gap) {
      pixels.push_back({0, 0, i, true});
    }
  }
  return pixels;
}

// Of the points in one column of pixels: the first, the lowest, the highest and the last, which look the same
// as all of them. A gap inside a full column can't be seen; one at its end stays.
std::vector<Pixel> decimate_line(const std::vector<Pixel>& pixels) {
  std::vector<Pixel> out;
  for (std::size_t begin = 0; begin < pixels.size();) {
    std::size_t end = begin;
    std::vector<std::size_t> column;
    while (end < pixels.size() &&
           (pixels[end].gap || std::floor(pixels[end].x) == std::floor(pixels[begin].x))) {
      if (!pixels[end].gap) column.push_back(end);
      ++end;
    }
    if (end - begin <= 4) {
      out.insert(out.end(), pixels.begin() + std::ptrdiff_t(begin), pixels.begin() + std::ptrdiff_t(end));
    } else {
      const auto by_y = [&](std::size_t a, std::size_t b) { return pixels[a].y < pixels[b].y; };
      const auto [low, high] = std::minmax_element(column.begin(), column.end(), by_y);
      std::set<std::size_t> kept = {column.front(), *low, *high, column.back()};
      for (const std::size_t i : kept) out.push_back(pixels[i]);
      if (pixels[end - 1].gap) out.push_back(pixels[end - 1]);
    }
    begin = end;
  }
  return out;
}

// One point for each cell of a grid, made coarser until there are few enough.
std::vector<Pixel> decimate_cloud(const std::vector<Pixel>& pixels) {
  std::vector<Pixel> out;
  for (double cell = 1.5;; cell *= 1.5) {
    std::set<std::pair<long, long>> taken;
    out.clear();
    for (const Pixel& p : pixels) {
      if (!p.gap && taken.emplace(std::lround(p.x / cell), std::lround(p.y / cell)).second) out.push_back(p);
    }
    if (out.size() <= kDots || cell > 100) return out;
  }
}

void add_line(SvgWriter& svg, const std::vector<Pixel>& pixels, std::string_view attributes) {
  if (pixels.empty()) return;
  svg.add("<path fill=\"none\" stroke-linecap=\"round\" stroke-linejoin=\"round\"", attributes, " d=\"");
  bool pen_down = false, alone = false;
  for (const Pixel& p : pixels) {
    if (p.gap) {
      if (alone) svg.add("h0");  // a lone point is still seen, thanks to the round ends
      pen_down = alone = false;
    } else {
      svg.add(pen_down ? "L" : "M", p.x, " ", p.y);
      alone = !pen_down;
      pen_down = true;
    }
  }
  svg.add(alone ? "h0" : "", "\"/>\n");
}

// Circle, square, triangle, diamond, triangle upside down, around the point; `r` is the circle's radius.
void add_shape(SvgWriter& svg, std::size_t i, double x, double y, double r = 4) {
  const double s = 0.88 * r, t = 1.12 * r, d = 1.2 * r;
  switch (i % 5) {
    case 0:
      svg.add("M", x - r, " ", y, "a", r, " ", r, " 0 1 0 ", 2 * r, " 0a", r, " ", r, " 0 1 0 ", -2 * r,
              " 0z");
      break;
    case 1:
      svg.add("M", x - s, " ", y - s, "h", 2 * s, "v", 2 * s, "h", -2 * s, "z");
      break;
    case 2:
      svg.add("M", x, " ", y - t, "l", t, " ", 2 * r, "h", -2 * t, "z");
      break;
    case 3:
      svg.add("M", x, " ", y - d, "l", d, " ", d, "l", -d, " ", d, "l", -d, " ", -d, "z");
      break;
    default:
      svg.add("M", x, " ", y + t, "l", t, " ", -2 * r, "h", -2 * t, "z");
      break;
  }
}

std::string show(double value, Unit unit) {
  return unit == Unit::percent ? format_percent(value, 2) : format_significant(value, 5);
}

void add_points(SvgWriter& svg, const LineChart& chart, std::size_t i, const std::vector<Pixel>& pixels) {
  const Series& series = chart.series[i];
  const auto count =
      std::size_t(std::count_if(pixels.begin(), pixels.end(), [](const Pixel& p) { return !p.gap; }));
  if (count > kShapes) {
    svg.add("<path fill=\"none\" stroke-width=\"3.6\" stroke-opacity=\"0.65\" stroke-linecap=\"round\" d=\"");
    for (const Pixel& p : decimate_cloud(pixels)) svg.add("M", p.x, " ", p.y, "h0");
    svg.add("\"/>\n");
    return;
  }
  if (count > kTooltips) {
    svg.add("<path stroke=\"none\" fill-opacity=\"0.75\" d=\"");
    for (const Pixel& p : pixels) {
      if (!p.gap) add_shape(svg, i, p.x, p.y, 2.7);
    }
    svg.add("\"/>\n");
    return;
  }
  for (const Pixel& p : pixels) {
    if (p.gap) continue;
    svg.add("<path stroke=\"none\" d=\"");
    add_shape(svg, i, p.x, p.y);
    svg.add("\"><title>", escape_xml(series.name), series.name.empty() ? "" : ": ", escape_xml(chart.x_label),
            chart.x_label.empty() ? "" : " ", format_significant(x_of(series, p.index), 9), ", ",
            show(series.y[p.index], chart.y_unit), "</title></path>\n");
  }
}

void add_series(SvgWriter& svg, const LineChart& chart, std::size_t i, const Frame& frame) {
  const Series& series = chart.series[i];
  const std::vector<Pixel> pixels = to_pixels(series, series.y, frame, chart.log_y);
  if (pixels.empty()) return;
  const auto finite =
      std::size_t(std::count_if(pixels.begin(), pixels.end(), [](const Pixel& p) { return !p.gap; }));
  const bool smoothed = series.smoothed && finite >= 20;
  svg.open_colour(i).add("\n");
  const std::string dashes = i >= kColours ? " stroke-dasharray=\"6 4\"" : "";
  if (smoothed) svg.add("<g opacity=\"0.25\">");
  if (series.mark != Mark::points) {
    add_line(svg, decimate_line(pixels), (smoothed ? " stroke-width=\"1\"" : " stroke-width=\"2\"") + dashes);
  }
  if (series.mark != Mark::line) add_points(svg, chart, i, pixels);
  if (smoothed) {
    svg.add("</g>\n");
    const auto average = moving_average(series.y, std::max(2.0, double(finite) / 100));
    add_line(svg, decimate_line(to_pixels(series, average, frame, chart.log_y)),
             " stroke-width=\"2.2\"" + dashes);
  }
  svg.add("</g>\n");
}

// Rows of swatches and names from the left; returns the height they take.
double add_legend(SvgWriter* svg, const LineChart& chart, double left, double top, double width) {
  if (chart.series.size() < 2) return 0;
  double x = left, y = top + 12;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    const double size = 26 + text_width(series.name) + 18;
    if (x > left && x + size > left + width) {
      x = left;
      y += 20;
    }
    if (svg != nullptr) {
      svg->open_colour(i);
      if (series.mark != Mark::points) {
        svg->add("<path stroke-width=\"2\"", i >= kColours ? " stroke-dasharray=\"6 4\"" : "", " d=\"M", x,
                 " ", y - 4, "h20\"/>");
      }
      if (series.mark != Mark::line) {
        svg->add("<path stroke=\"none\" d=\"");
        add_shape(*svg, i, x + 10, y - 4);
        svg->add("\"/>");
      }
      svg->add("</g>").label(x + 26, y, "start", series.name, "name");
    }
    x += size;
  }
  return y - top + 10;
}

Frame lay_out(const LineChart& chart) {
  Range x, y;
  for (const Series& series : chart.series) {
    require(series.x.empty() || series.x.size() == series.y.size(), "chart '", chart.title, "': series '",
            series.name, "' has ", series.x.size(), " x and ", series.y.size(), " y values");
    for (std::size_t i = 0; i < series.y.size(); ++i) {
      if (!drawable(x_of(series, i), series.y[i], chart.log_y)) continue;
      x.add(x_of(series, i));
      y.add(series.y[i]);
    }
  }
  // A limit is as good as a value: the ticks should fit what is shown.
  if (!chart.log_y && !y.empty) {
    if (chart.y_min) y.low = std::min(std::max(y.low, *chart.y_min), y.high);
    if (chart.y_max) y.high = std::max(std::min(y.high, *chart.y_max), y.low);
    if (chart.y_min) y.add(*chart.y_min);
    if (chart.y_max) y.add(*chart.y_max);
  }
  Frame frame;
  frame.y = chart.log_y ? Axis::logarithmic(y, 6) : Axis::linear(y, 5, true, chart.y_unit);
  frame.y.limit(chart.y_min, chart.y_max);
  frame.x = Axis::linear(x, 8, false);

  double labels = 0;
  for (const Tick& tick : frame.y.ticks()) labels = std::max(labels, text_width(tick.label));
  frame.left = labels + 14 + (chart.y_label.empty() ? 0 : 20);
  frame.width = std::max(40.0, chart.width - frame.left - 18);
  frame.top = chart.title.empty() ? 12 : 38;
  frame.top += add_legend(nullptr, chart, frame.left, frame.top, frame.width);
  frame.height = std::max(40.0, chart.height - frame.top - 26 - (chart.x_label.empty() ? 0 : 20));
  return frame;
}

}  // namespace

std::vector<double> moving_average(const std::vector<double>& values, double width) {
  const double keep = std::exp(-1 / width);
  const std::size_t n = values.size();
  std::vector<double> sums(n), weights(n), out = values;
  const auto sweep = [&](auto index) {
    double sum = 0, weight = 0;
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t i = index(k);
      sum *= keep;
      weight *= keep;
      sums[i] += sum;
      weights[i] += weight;
      if (!std::isfinite(values[i])) continue;
      sum += values[i];
      weight += 1;
    }
  };
  sweep([](std::size_t k) { return k; });
  sweep([n](std::size_t k) { return n - 1 - k; });
  for (std::size_t i = 0; i < n; ++i) {
    if (std::isfinite(values[i])) out[i] = (sums[i] + values[i]) / (weights[i] + 1);
  }
  return out;
}

Svg draw(const LineChart& chart) {
  const Frame frame = lay_out(chart);
  const double bottom = frame.top + frame.height;
  const double height = bottom + 26 + (chart.x_label.empty() ? 0 : 20);
  SvgWriter svg(chart.width, height, chart.title);
  if (!chart.title.empty()) svg.label(frame.left, 20, "start", chart.title, "title");
  add_legend(&svg, chart, frame.left, chart.title.empty() ? 12 : 38, frame.width);

  for (const Tick& tick : frame.y.ticks()) {
    const double y = frame.py(tick.value);
    svg.grid_line(frame.left, y, frame.left + frame.width, y);
    svg.label(frame.left - 8, y + 4, "end", tick.label);
  }
  double free_from = -1e9;  // labels that would touch the one before are left out
  for (const Tick& tick : frame.x.ticks()) {
    const double x = frame.px(tick.value), half = text_width(tick.label) / 2;
    svg.add("<path class=\"edge\" d=\"M", x, " ", bottom, "v4\"/>\n");
    if (x - half < free_from) continue;
    svg.label(x, bottom + 18, "middle", tick.label);
    free_from = x + half + 6;
  }
  svg.add("<path class=\"edge\" d=\"M", frame.left, " ", bottom, "h", frame.width, "\"/>\n");
  if (!chart.x_label.empty()) svg.label(frame.left + frame.width / 2, bottom + 38, "middle", chart.x_label);
  if (!chart.y_label.empty()) svg.label(13, frame.top + frame.height / 2, "middle", chart.y_label, "", -90);

  bool any = false;
  for (const Series& series : chart.series) {
    for (std::size_t i = 0; i < series.y.size(); ++i)
      any = any || drawable(x_of(series, i), series.y[i], chart.log_y);
  }
  if (!any) svg.label(frame.left + frame.width / 2, frame.top + frame.height / 2, "middle", "no data");

  const bool clipped = chart.y_min || chart.y_max;
  if (clipped) {
    // A nested viewport clips without an id, which would have to be unique in the page.
    svg.add("<svg overflow=\"hidden\" x=\"0\" y=\"", frame.top, "\" width=\"", double(chart.width),
            "\" height=\"", frame.height, "\" viewBox=\"0 ", frame.top, " ", double(chart.width), " ",
            frame.height, "\">\n");
  }
  for (std::size_t i = 0; i < chart.series.size(); ++i) add_series(svg, chart, i, frame);
  if (clipped) svg.add("</svg>\n");
  return std::move(svg).finish();
}

}  // namespace tapestry
