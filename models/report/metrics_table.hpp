// metrics.csv read back, for reports of this run and of older ones.
//
//   const MetricsTable metrics = load_metrics("runs/adam/metrics.csv");
//   const MetricPoints loss = metrics.points("iteration", "loss", "step");
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry {

struct MetricPoints {
  std::vector<double> x, y;
};

class MetricsTable {
 public:
  /// `text` is a CSV with a header line; a torn last line is left out. Throws IoError naming `source` and the
  /// line where a row has more or fewer cells than the header.
  MetricsTable(std::string_view text, std::string source);

  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return columns_.empty() ? 0 : cells_.size() / columns_.size(); }
  bool has(std::string_view column) const;

  /// A cell's text; empty where the row had no such metric.
  const std::string& cell(std::size_t row, std::string_view column) const;
  /// A cell as a number; nothing where it is empty. Throws IoError naming file and row for anything else.
  std::optional<double> number(std::size_t row, std::string_view column) const;

  /// The rows in which both cells are filled in and, unless `kind` is empty, the column "kind" says so.
  /// Empty if the table has no such columns.
  MetricPoints points(std::string_view x, std::string_view y, std::string_view kind = "") const;
  /// The last number in a column, if there is one.
  std::optional<double> last(std::string_view column) const;
  /// The largest number in a column that is not NaN, if there is one.
  std::optional<double> best(std::string_view column) const;

 private:
  std::size_t column(std::string_view name) const;
  std::optional<double> parse(std::size_t row, std::size_t column) const;

  std::string source_;
  std::vector<std::string> columns_;
  std::vector<std::string> cells_;  // row-major
};

/// Throws IoError if the file is missing or is not such a table.
MetricsTable load_metrics(const std::filesystem::path& csv);

/// Reads the record at the start of `text`, which may hold quoted commas, quotes and newlines (RFC 4180),
/// into `cells`. The number of bytes it takes with its newline; 0 if that is missing, as in a torn line.
std::size_t read_csv_record(std::string_view text, std::vector<std::string>& cells);

}  // namespace tapestry
