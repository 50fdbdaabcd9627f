#include <tapestry/core/error.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/text_table.hpp>

#include <algorithm>
#include <utility>

namespace tapestry {
namespace {

// One line of a terminal, whatever the cell holds.
std::string printable(std::string_view cell) {
  std::string out;
  while (!cell.empty()) {
    const std::size_t length = utf8_length(cell);
    const auto c = static_cast<unsigned char>(cell[0]);
    if (length == 0) {
      out += '?';
    } else if (c < 0x20 || c == 0x7F) {
      out += ' ';
    } else {
      out += cell.substr(0, length);
    }
    cell.remove_prefix(std::max<std::size_t>(1, length));
  }
  return out;
}

}  // namespace

TextTable::TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

TextTable& TextTable::row(Row cells) {
  require(cells.size() <= columns_.size(), "a table of ", columns_.size(), " columns was given a row of ",
          cells.size(), " cells");
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
  ruled_.push_back(std::exchange(pending_rule_, false));
  return *this;
}

TextTable& TextTable::rule() {
  pending_rule_ = true;
  return *this;
}

std::string TextTable::text(bool unicode) const {
  if (columns_.empty()) return "";
  Row header;
  for (const Column& column : columns_) header.push_back(printable(column.name));
  std::vector<Row> lines = {std::move(header)};
  for (const Row& cells : rows_) {
    Row& line = lines.emplace_back();
    for (const std::string& cell : cells) line.push_back(printable(cell));
  }

  std::vector<std::size_t> widths(columns_.size());
  for (const Row& line : lines) {
    for (std::size_t c = 0; c < widths.size(); ++c) widths[c] = std::max(widths[c], display_width(line[c]));
  }
  std::size_t total = 2 * (widths.size() - 1);
  for (const std::size_t width : widths) total += width;
  std::string rule_line;
  for (std::size_t i = 0; i < total; ++i) rule_line += unicode ? "─" : "-";
  rule_line += '\n';

  std::string out;
  for (std::size_t r = 0; r < lines.size(); ++r) {
    if (r == 1 || (r > 1 && ruled_[r - 1])) out += rule_line;
    std::string line;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      if (c > 0) line += "  ";
      const std::string blanks(widths[c] - display_width(lines[r][c]), ' ');
      line += columns_[c].align == Align::right ? blanks + lines[r][c] : lines[r][c] + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  if (rows_.empty()) out += rule_line;
  return out;
}

TextTable confusion_table(const ConfusionMatrix& matrix) {
  const auto percent = [](double fraction) { return fraction == fraction ? format_percent(fraction) : "-"; };
  std::vector<TextTable::Column> columns = {{"true \\ predicted"}};
  for (const std::string& name : matrix.classes)
    columns.push_back({shorten(name, 6), TextTable::Align::right});
  columns.push_back({"recall", TextTable::Align::right});

  TextTable table(std::move(columns));
  TextTable::Row precision = {"precision"};
  for (std::size_t t = 0; t < matrix.classes.size(); ++t) {
    TextTable::Row row = {matrix.classes[t]};
    for (std::size_t p = 0; p < matrix.classes.size(); ++p) row.push_back(std::to_string(matrix.at(t, p)));
    row.push_back(percent(matrix.recall(t)));
    table.row(std::move(row));
    precision.push_back(percent(matrix.precision(t)));
  }
  precision.push_back(percent(matrix.accuracy()));
  table.rule().row(std::move(precision));
  return table;
}

}  // namespace tapestry
