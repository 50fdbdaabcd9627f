// Tables: aligned plain text for the terminal; html.hpp shows the same table in a report.
//
//   TextTable table({{"layer"}, {"parameters", TextTable::Align::right}});
//   table.row({"fc1", "1,536,500"}).row({"fc2", "250,500"}).rule().row({"total", "1,787,000"});
//   std::cout << table.text();
//
//   layer  parameters
//   ─────────────────
//   fc1     1,536,500
//   fc2       250,500
//   ─────────────────
//   total   1,787,000
#pragma once

#include <tapestry/models/report/confusion.hpp>

#include <string>
#include <vector>

namespace tapestry {

class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string name;
    Align align = Align::left;
  };
  using Row = std::vector<std::string>;

  explicit TextTable(std::vector<Column> columns);

  /// Missing cells at the end are empty; throws Error if there are more cells than columns.
  TextTable& row(Row cells);
  /// A line between the rows before and after, as above totals.
  TextTable& rule();

  /// Lines without trailing blanks, each ended by a newline. Control characters in cells become blanks.
  std::string text(bool unicode = true) const;

  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<Row>& rows() const { return rows_; }
  /// Whether a rule comes before this row.
  bool ruled(std::size_t row) const { return ruled_[row]; }

 private:
  std::vector<Column> columns_;
  std::vector<Row> rows_;
  std::vector<bool> ruled_;
  bool pending_rule_ = false;
};

/// True classes down, predicted classes across (names cut to six characters), recall at the right, precision
/// below.
TextTable confusion_table(const ConfusionMatrix& matrix);

}  // namespace tapestry
