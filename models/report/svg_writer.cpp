#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/svg_writer.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace tapestry::charts {
namespace {

// Blue, vermillion, green, purple, orange, sky blue, black, yellow; a little lighter on dark pages.
constexpr std::string_view kStyle =
    "<style>"
    ".tapestry-chart{color:#1f2328;font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica "
    "Neue',Arial,sans-serif}"
    ".tapestry-chart text{fill:#59636e;font-variant-numeric:tabular-nums}"
    ".tapestry-chart .title{fill:#1f2328;font-size:15px;font-weight:600}"
    ".tapestry-chart .name{fill:#1f2328}"
    ".tapestry-chart .on{fill:#fff}"
    ".tapestry-chart .grid{stroke:#d9dfe5;stroke-width:1;shape-rendering:crispEdges}"
    ".tapestry-chart .edge{stroke:#afb8c1;stroke-width:1;shape-rendering:crispEdges}"
    ".tapestry-chart .c0{color:#0072b2}.tapestry-chart .c1{color:#d55e00}"
    ".tapestry-chart .c2{color:#009e73}.tapestry-chart .c3{color:#cc79a7}"
    ".tapestry-chart .c4{color:#e69f00}.tapestry-chart .c5{color:#56b4e9}"
    ".tapestry-chart .c6{color:#1f2328}.tapestry-chart .c7{color:#c9b800}"
    "@media(prefers-color-scheme:dark){"
    ".tapestry-chart{color:#e6edf3}"
    ".tapestry-chart text{fill:#9198a1}"
    ".tapestry-chart .title,.tapestry-chart .name{fill:#e6edf3}"
    ".tapestry-chart .on{fill:#fff}"
    ".tapestry-chart .grid{stroke:#2a313a}"
    ".tapestry-chart .edge{stroke:#4a535e}"
    ".tapestry-chart .c0{color:#4ba3e3}.tapestry-chart .c1{color:#f47f3b}"
    ".tapestry-chart .c2{color:#2ec49a}.tapestry-chart .c3{color:#e096c0}"
    ".tapestry-chart .c4{color:#f2b43c}.tapestry-chart .c5{color:#93d1f5}"
    ".tapestry-chart .c6{color:#e6edf3}.tapestry-chart .c7{color:#f0e442}"
    "}</style>";

}  // namespace

double text_width(std::string_view text, double font_size) {
  double ems = 0;
  while (!text.empty()) {
    const char c = text[0];
    const bool wide = std::string_view("mwMW@%").find(c) != std::string_view::npos;
    const bool narrow = std::string_view(" .,:;'|!iIjlftr()").find(c) != std::string_view::npos;
    ems += wide ? 0.92 : narrow ? 0.38 : c >= 'A' && c <= 'Z' ? 0.7 : 0.61;
    text.remove_prefix(std::max<std::size_t>(1, utf8_length(text)));
  }
  return ems * font_size;
}

SvgWriter::SvgWriter(double width, double height, std::string_view label) {
  add("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tapestry-chart\" role=\"img\" width=\"", width,
      "\" height=\"", height, "\" viewBox=\"0 0 ", width, " ", height, "\" aria-label=\"", escape_xml(label),
      "\">", kStyle, "\n");
}

void SvgWriter::put(double number) {
  std::array<char, 32> digits;
  // Charts are drawn within a few thousand units; anything else would be a mistake made visible.
  const double tenths = std::round(std::fmin(std::fmax(number, -1e5), 1e5) * 10);
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), tenths / 10 + 0.0, std::chars_format::fixed)
          .ptr;
  out_.append(digits.data(), end);
}

SvgWriter& SvgWriter::label(double x, double y, std::string_view anchor, std::string_view text,
                            std::string_view style, double turn) {
  add("<text x=\"", x, "\" y=\"", y, "\"");
  if (anchor != "start") add(" text-anchor=\"", anchor, "\"");
  if (!style.empty()) add(" class=\"", style, "\"");
  if (turn != 0) add(" transform=\"rotate(", turn, " ", x, " ", y, ")\"");
  return add(">", escape_xml(text), "</text>\n");
}

SvgWriter& SvgWriter::grid_line(double x1, double y1, double x2, double y2) {
  return add("<path class=\"grid\" d=\"M", x1, " ", y1, "L", x2, " ", y2, "\"/>\n");
}

SvgWriter& SvgWriter::open_colour(std::size_t i) {
  return add("<g class=\"c", std::to_string(i % 8), "\" fill=\"currentColor\" stroke=\"currentColor\">");
}

Svg SvgWriter::finish() && {
  out_ += "</svg>\n";
  return {std::move(out_)};
}

}  // namespace tapestry::charts
