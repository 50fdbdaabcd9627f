// The pieces that all charts are made of.
#pragma once

#include <tapestry/models/report/svg.hpp>

#include <string>
#include <string_view>

namespace tapestry::charts {

/// How text is laid out: about this wide, since fonts differ from reader to reader.
double text_width(std::string_view text, double font_size = 12);

class SvgWriter {
 public:
  /// `label` is read out by screen readers and shown as the chart's title.
  SvgWriter(double width, double height, std::string_view label);

  /// The parts, one after the other: markup as it is, numbers with at most one decimal.
  template <class... Parts>
  SvgWriter& add(const Parts&... parts) {
    (put(parts), ...);
    return *this;
  }
  /// Escaped text. `style` is a class of the style sheet: "title", "name" or empty for labels.
  SvgWriter& label(double x, double y, std::string_view anchor, std::string_view text,
                   std::string_view style = "", double turn = 0);
  SvgWriter& grid_line(double x1, double y1, double x2, double y2);
  /// A group in the colour of the i-th series; close it with add("</g>").
  SvgWriter& open_colour(std::size_t i);

  Svg finish() &&;

 private:
  void put(std::string_view markup) { out_ += markup; }
  void put(double number);

  std::string out_;
};

}  // namespace tapestry::charts
