#include <tapestry/core/error.hpp>
#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/models/data/image_file.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/html.hpp>
#include <tapestry/models/report/html_style.hpp>

namespace tapestry {

HtmlReport::HtmlReport(std::string title, std::string subtitle)
    : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

HtmlReport& HtmlReport::card(std::string_view label, std::string_view value, std::string_view remark) {
  cards_ += text("<div class=\"card\"><div class=\"label\">", escape_xml(label),
                 "</div><div class=\"value\">", escape_xml(value), "</div>");
  if (!remark.empty()) cards_ += text("<div class=\"remark\">", escape_xml(remark), "</div>");
  cards_ += "</div>\n";
  return *this;
}

HtmlReport& HtmlReport::section(std::string_view title) {
  if (in_section_) body_ += "</section>\n";
  in_section_ = true;
  body_ += text("<section>\n<h2>", escape_xml(title), "</h2>\n");
  return *this;
}

HtmlReport& HtmlReport::paragraph(std::string_view words) {
  body_ += text("<p>", escape_xml(words), "</p>\n");
  return *this;
}

HtmlReport& HtmlReport::notice(std::string_view words) {
  body_ += text("<p class=\"notice\">", escape_xml(words), "</p>\n");
  return *this;
}

HtmlReport& HtmlReport::figure(const Svg& chart, std::string_view caption) {
  body_ += text("<figure class=\"panel\">", chart.markup);
  if (!caption.empty()) body_ += text("<figcaption>", escape_xml(caption), "</figcaption>");
  body_ += "</figure>\n";
  return *this;
}

HtmlReport& HtmlReport::figures(const std::vector<Svg>& charts) {
  body_ += "<div class=\"figures\">\n";
  for (const Svg& chart : charts) figure(chart);
  body_ += "</div>\n";
  return *this;
}

HtmlReport& HtmlReport::gallery(const Gallery& gallery) {
  body_ += text("<figure class=\"panel\"><div class=\"gallery\" style=\"--width:", gallery.width, "px\">\n");
  for (const Picture& picture : gallery.pictures) {
    const std::string description = escape_xml(picture.description);
    body_ += text("<div><img alt=\"", description, "\" title=\"", description,
                  "\" src=\"data:image/png;base64,", base64(encode_png(picture.pixels)), "\"/>");
    if (!picture.caption.empty()) body_ += text("<b>", escape_xml(picture.caption), "</b>");
    if (!picture.remark.empty()) body_ += text("<span>", escape_xml(picture.remark), "</span>");
    body_ += "</div>\n";
  }
  body_ += "</div>";
  if (!gallery.caption.empty()) body_ += text("<figcaption>", escape_xml(gallery.caption), "</figcaption>");
  body_ += "</figure>\n";
  return *this;
}

HtmlReport& HtmlReport::table(const TextTable& table) {
  const auto opening = [&](const char* tag, std::size_t c) {
    return text('<', tag, table.columns()[c].align == TextTable::Align::right ? " class=\"right\">" : ">");
  };
  body_ += "<div class=\"scroll panel\"><table><thead><tr>";
  for (std::size_t c = 0; c < table.columns().size(); ++c) {
    body_ += text(opening("th", c), escape_xml(table.columns()[c].name), "</th>");
  }
  body_ += "</tr></thead><tbody>\n";
  for (std::size_t r = 0; r < table.rows().size(); ++r) {
    body_ += table.ruled(r) ? "<tr class=\"ruled\">" : "<tr>";
    for (std::size_t c = 0; c < table.columns().size(); ++c) {
      body_ += text(opening("td", c), escape_xml(table.rows()[r][c]), "</td>");
    }
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
  return *this;
}

HtmlReport& HtmlReport::key_values(const std::vector<std::pair<std::string, std::string>>& rows) {
  body_ += "<dl class=\"panel\">\n";
  for (const auto& [key, value] : rows) {
    body_ += text("<div><dt>", escape_xml(key), "</dt><dd>", escape_xml(value), "</dd></div>\n");
  }
  body_ += "</dl>\n";
  return *this;
}

HtmlReport& HtmlReport::code(std::string_view words) {
  body_ += text("<pre class=\"panel\">", escape_xml(words), "</pre>\n");
  return *this;
}

HtmlReport& HtmlReport::footer(std::string_view words) {
  footer_ += text("<p>", escape_xml(words), "</p>\n");
  return *this;
}

std::string HtmlReport::html() const {
  std::string page = text(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>",
      escape_xml(title_), "</title>\n<style>", kReportStyle,
      "</style>\n</head>\n<body>\n<main>\n<header><h1>", escape_xml(title_), "</h1>");
  if (!subtitle_.empty()) page += text("<p>", escape_xml(subtitle_), "</p>");
  page += "</header>\n";
  if (!cards_.empty()) page += text("<div class=\"cards\">\n", cards_, "</div>\n");
  page += body_;
  if (in_section_) page += "</section>\n";
  if (!footer_.empty()) page += text("<footer>\n", footer_, "</footer>\n");
  return page + "</main>\n</body>\n</html>\n";
}

void HtmlReport::write(const std::filesystem::path& path) const { write_file_atomically(path, html()); }

}  // namespace tapestry
