#include <tapestry/core/error.hpp>
#include <tapestry/core/io/file_calls.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/metrics_log.hpp>
#include <tapestry/models/report/metrics_table.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tapestry {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;

[[noreturn]] void fail_io(const char* doing, const std::filesystem::path& path) {
  throw IoError(text("can't ", doing, " ", path.string(), ": ", std::strerror(errno)));
}

void append_csv_text(std::string& out, std::string_view word) {
  if (word.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += word;
    return;
  }
  out += '"';
  for (const char c : word) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void append_csv(std::string& out, const Metric& metric) {
  std::visit(
      [&](auto value) {
        if constexpr (std::is_same_v<decltype(value), std::string_view>) {
          append_csv_text(out, value);
        } else {
          append_shortest(out, value);
        }
      },
      metric.value);
}

void append_json(std::string& out, const Metric& metric) {
  std::visit(
      [&](auto value) {
        if constexpr (std::is_same_v<decltype(value), std::string_view>) {
          append_json_string(out, value);
        } else if (!std::isfinite(double(value))) {
          out += "null";  // JSON has no word for NaN or infinity
        } else {
          append_shortest(out, value);
        }
      },
      metric.value);
}

std::string header_line(const std::vector<std::string>& columns) {
  std::string line;
  for (const std::string& column : columns) {
    if (!line.empty()) line += ',';
    line += column;
  }
  return line + '\n';
}

std::string read_all(int descriptor, const std::filesystem::path& path) {
  struct stat info = {};
  if (::fstat(descriptor, &info) != 0) fail_io("read", path);
  std::string content;
  if (!S_ISREG(info.st_mode)) return content;
  content.resize(std::size_t(info.st_size));
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::pread(descriptor, content.data() + done, content.size() - done, off_t(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io("read", path);
    if (n == 0) break;
    done += std::size_t(n);
  }
  content.resize(done);
  return content;
}

void cut(int descriptor, std::size_t size, const std::filesystem::path& path) {
  if (::ftruncate(descriptor, off_t(size)) != 0) fail_io("shorten", path);
}

std::optional<std::int64_t> parse_integer(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end == digits.data()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<std::string> metrics_columns() {
  return {"kind",          "epoch",         "iteration", "loss", "train_accuracy", "validation_accuracy",
          "test_accuracy", "learning_rate", "seconds"};
}

MetricsLog::MetricsLog(const std::filesystem::path& folder, std::vector<std::string> columns,
                       Existing existing)
    : columns_(std::move(columns)), row_(columns_.size()) {
  require(!columns_.empty(), "a metrics log needs at least one column");
  for (const std::string& column : columns_) {
    // So a name needs no quotes in either file.
    const bool plain = !column.empty() && std::all_of(column.begin(), column.end(), [](unsigned char c) {
      return std::isalnum(c) || c == '_' || c == '-' || c == '/' || c == '.';
    });
    require(plain, "metrics column '", column, "': a name is made of letters, digits and _ - / .");
    require(std::count(columns_.begin(), columns_.end(), column) == 1, "metrics column '", column,
            "' is there twice");
  }
  csv_.path = folder / "metrics.csv";
  json_.path = folder / "metrics.jsonl";
  try {
    open(csv_, existing == Existing::replace);
    open(json_, existing == Existing::replace);
    repair();
  } catch (...) {
    if (csv_.descriptor >= 0) ::close(csv_.descriptor);
    if (json_.descriptor >= 0) ::close(json_.descriptor);
    throw;
  }
}

MetricsLog::MetricsLog(MetricsLog&& other) noexcept
    : columns_(std::move(other.columns_)),
      row_(std::move(other.row_)),
      csv_(std::move(other.csv_)),
      json_(std::move(other.json_)) {
  other.csv_.descriptor = other.json_.descriptor = -1;
}

MetricsLog::~MetricsLog() {
  for (File* file : {&csv_, &json_}) {
    if (file->descriptor < 0) continue;
    try {
      write(*file);
    } catch (const Error&) {
    }
    ::close(file->descriptor);
  }
}

void MetricsLog::open(File& file, bool replace) {
  file.buffer.reserve(kBuffer);
  file.descriptor =
      ::open(file.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (replace ? O_TRUNC : 0), 0666);
  if (file.descriptor < 0) fail_io("open", file.path);
}

// Leaves whole lines only, under the header that these rows have.
void MetricsLog::repair() {
  const std::string rows = read_all(csv_.descriptor, csv_.path);
  const std::string header = header_line(columns_);
  std::vector<std::string> cells;
  std::size_t end = read_csv_record(rows, cells);
  if (end == 0) {
    if (!rows.empty()) cut(csv_.descriptor, 0, csv_.path);
    csv_.buffer = header;
    csv_.buffer.reserve(kBuffer);
    write(csv_);
  } else if (std::string_view(rows).substr(0, end) != header) {
    throw IoError(text(csv_.path.string(), " has the columns ", rows.substr(0, end - 1), " and not ",
                       header.substr(0, header.size() - 1)));
  } else {
    while (const std::size_t size = read_csv_record(std::string_view(rows).substr(end), cells)) end += size;
    if (end < rows.size()) cut(csv_.descriptor, end, csv_.path);
  }
  const std::string objects = read_all(json_.descriptor, json_.path);
  const std::size_t whole = objects.rfind('\n') + 1;  // npos + 1 is 0
  if (whole < objects.size()) cut(json_.descriptor, whole, json_.path);
}

void MetricsLog::append(std::span<const Metric> row) {
  std::fill(row_.begin(), row_.end(), nullptr);
  for (const Metric& metric : row) {
    const auto found = std::find(columns_.begin(), columns_.end(), metric.name);
    if (found == columns_.end()) fail(csv_.path.string(), " has no column '", metric.name, "'");
    row_[std::size_t(found - columns_.begin())] = &metric;
  }
  // At most this many bytes; a control character in a word becomes six in JSON.
  std::size_t longest = 16 * columns_.size();
  for (const Metric& metric : row) {
    const auto* word = std::get_if<std::string_view>(&metric.value);
    longest += 32 + metric.name.size() + (word ? 6 * word->size() : 0);
  }
  if (std::max(csv_.buffer.size(), json_.buffer.size()) + longest > kBuffer) flush();

  char before_csv = 0, before_json = '{';
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (std::exchange(before_csv, ',') != 0) csv_.buffer += ',';
    if (row_[c] == nullptr) continue;
    append_csv(csv_.buffer, *row_[c]);
    json_.buffer += std::exchange(before_json, ',');
    json_.buffer += '"';
    json_.buffer += columns_[c];
    json_.buffer += "\":";
    append_json(json_.buffer, *row_[c]);
  }
  csv_.buffer += '\n';
  json_.buffer += before_json == '{' ? "{}\n" : "}\n";
}

void MetricsLog::write(File& file) {
  if (file.buffer.empty()) return;
  struct stat before = {};
  const bool regular = ::fstat(file.descriptor, &before) == 0 && S_ISREG(before.st_mode);
  std::string_view rest = file.buffer;
  while (!rest.empty()) {
    const ssize_t n = ::write(file.descriptor, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int reason = errno;
      if (regular && rest.size() < file.buffer.size())
        std::ignore = ::ftruncate(file.descriptor, before.st_size);
      errno = reason;
      fail_io("write", file.path);
    }
    rest.remove_prefix(std::size_t(n));
  }
  file.buffer.clear();
}

void MetricsLog::flush() {
  write(csv_);
  write(json_);
}

void MetricsLog::sync() {
  flush();
  for (const File* file : {&csv_, &json_}) {
    int result = 0;
    do result = detail::file_calls().fsync(file->descriptor);
    while (result == -1 && errno == EINTR);
    // A device or a pipe has nothing to sync.
    if (result == -1 && errno != EINVAL) fail_io("write", file->path);
  }
}

void MetricsLog::truncate_after(std::int64_t iteration) {
  flush();
  const auto at = std::size_t(std::find(columns_.begin(), columns_.end(), "iteration") - columns_.begin());
  require(at < columns_.size(), csv_.path.string(), " has no column 'iteration' to cut at");

  const std::string rows = read_all(csv_.descriptor, csv_.path);
  std::vector<std::string> cells;
  std::size_t end = read_csv_record(rows, cells);  // the header
  while (const std::size_t size = read_csv_record(std::string_view(rows).substr(end), cells)) {
    if (at < cells.size() && parse_integer(cells[at]).value_or(iteration) > iteration) break;
    end += size;
  }
  if (end < rows.size()) cut(csv_.descriptor, end, csv_.path);

  // Inside a JSON string the quotes would be escaped, so these bytes can only be the key.
  static constexpr std::string_view kKey = "\"iteration\":";
  const std::string objects = read_all(json_.descriptor, json_.path);
  for (std::size_t line = 0; line < objects.size();) {
    const std::size_t next = std::min(objects.find('\n', line), objects.size() - 1) + 1;
    const std::string_view object = std::string_view(objects).substr(line, next - line);
    const std::size_t key = object.find(kKey);
    if (key != std::string_view::npos &&
        parse_integer(object.substr(key + kKey.size())).value_or(iteration) > iteration) {
      cut(json_.descriptor, line, json_.path);
      break;
    }
    line = next;
  }
}

}  // namespace tapestry
