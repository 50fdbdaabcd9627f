#include <tapestry/core/error.hpp>
#include <tapestry/models/report/metrics_table.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

namespace tapestry {

std::size_t read_csv_record(std::string_view text, std::vector<std::string>& cells) {
  cells.assign(1, "");
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        cells.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        cells.back() += '"';
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      cells.emplace_back();
    } else if (c == '\n') {
      return i + 1;
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return 0;
}

MetricsTable::MetricsTable(std::string_view csv, std::string source) : source_(std::move(source)) {
  csv.remove_prefix(read_csv_record(csv, columns_));
  if (columns_.size() == 1 && columns_[0].empty()) columns_.clear();
  std::vector<std::string> cells;
  for (std::size_t row = 1; const std::size_t size = read_csv_record(csv, cells); ++row) {
    csv.remove_prefix(size);
    if (cells.size() != columns_.size()) {
      throw IoError(
          text(source_, ": row ", row, " has ", cells.size(), " cells, the header has ", columns_.size()));
    }
    std::move(cells.begin(), cells.end(), std::back_inserter(cells_));
  }
}

std::size_t MetricsTable::column(std::string_view name) const {
  return std::size_t(std::find(columns_.begin(), columns_.end(), name) - columns_.begin());
}

bool MetricsTable::has(std::string_view name) const { return column(name) < columns_.size(); }

const std::string& MetricsTable::cell(std::size_t row, std::string_view name) const {
  const std::size_t c = column(name);
  require(c < columns_.size(), source_, " has no column ", name);
  require(row < rows(), source_, " has ", rows(), " rows, so none at ", row);
  return cells_[row * columns_.size() + c];
}

std::optional<double> MetricsTable::parse(std::size_t row, std::size_t c) const {
  const std::string& digits = cells_[row * columns_.size() + c];
  if (digits.empty()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    throw IoError(
        text(source_, ": row ", row + 1, " has '", digits, "' for ", columns_[c], ", which is no number"));
  }
  return value;
}

std::optional<double> MetricsTable::number(std::size_t row, std::string_view name) const {
  cell(row, name);  // checks both
  return parse(row, column(name));
}

MetricPoints MetricsTable::points(std::string_view x, std::string_view y, std::string_view kind) const {
  MetricPoints out;
  if (!has(x) || !has(y) || (!kind.empty() && !has("kind"))) return out;
  const std::size_t cx = column(x), cy = column(y), ck = column("kind");
  for (std::size_t row = 0; row < rows(); ++row) {
    if (!kind.empty() && cells_[row * columns_.size() + ck] != kind) continue;
    const auto px = parse(row, cx), py = parse(row, cy);
    if (!px || !py) continue;
    out.x.push_back(*px);
    out.y.push_back(*py);
  }
  return out;
}

std::optional<double> MetricsTable::last(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  for (std::size_t row = rows(); row-- > 0;) {
    if (const auto value = parse(row, column(name))) return value;
  }
  return std::nullopt;
}

std::optional<double> MetricsTable::best(std::string_view name) const {
  std::optional<double> found;
  if (!has(name)) return found;
  for (std::size_t row = 0; row < rows(); ++row) {
    const auto value = parse(row, column(name));
    if (value && !std::isnan(*value) && (!found || *value > *found)) found = value;
  }
  return found;
}

MetricsTable load_metrics(const std::filesystem::path& csv) {
  std::ifstream in(csv, std::ios::binary);
  if (!in) throw IoError(text("can't open ", csv.string(), " to read the metrics"));
  std::ostringstream content;
  if (in.peek() != std::ifstream::traits_type::eof()) content << in.rdbuf();
  if (in.bad() || content.bad()) throw IoError(text("can't read ", csv.string()));
  return MetricsTable(content.view(), csv.string());
}

}  // namespace tapestry
