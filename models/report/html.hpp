// report.html: one file that needs nothing else, to be opened anywhere, on light and dark screens, and
// printed.
//
//   HtmlReport report("adam-500x3", "3072-500-500-500-10 on CIFAR-10");
//   report.card("Best validation accuracy", "56.5%", "epoch 8 of 10");
//   report.section("Curves").figures({draw(loss_chart), draw(accuracy_chart)});
//   report.section("Configuration").key_values({{"update rule", "adam"}, {"learning rate", "1e-3"}});
//   report.write("runs/adam/report.html");
//
// run_report.hpp makes the pages of `cifar_train train` and `compare` in one call each.
#pragma once

#include <tapestry/models/report/gallery.hpp>
#include <tapestry/models/report/svg.hpp>
#include <tapestry/models/report/text_table.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tapestry {

/// All text is escaped here. Calls append to the page in order; cards gather at the top, under the title.
class HtmlReport {
 public:
  explicit HtmlReport(std::string title, std::string subtitle = "");

  /// A number that sums the run up, with what it is and a remark.
  HtmlReport& card(std::string_view label, std::string_view value, std::string_view remark = "");
  /// What follows belongs to it until the next section.
  HtmlReport& section(std::string_view title);
  HtmlReport& paragraph(std::string_view text);
  /// A paragraph that stands out: an interrupted run, the stand-in data set.
  HtmlReport& notice(std::string_view text);

  HtmlReport& figure(const Svg& chart, std::string_view caption = "");
  /// Charts beside each other where the screen is wide enough.
  HtmlReport& figures(const std::vector<Svg>& charts);
  /// Its pictures are a part of the page.
  HtmlReport& gallery(const Gallery& gallery);

  HtmlReport& table(const TextTable& table);
  HtmlReport& key_values(const std::vector<std::pair<std::string, std::string>>& rows);
  /// Text as it is, in a fixed-width font: a command, a graph.
  HtmlReport& code(std::string_view text);

  /// The small print at the end.
  HtmlReport& footer(std::string_view text);

  std::string html() const;
  /// Replaces the file at once or not at all. Throws IoError naming it and the reason.
  void write(const std::filesystem::path& path) const;

 private:
  std::string title_, subtitle_, cards_, body_, footer_;
  bool in_section_ = false;
};

}  // namespace tapestry
