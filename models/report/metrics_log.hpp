// A run's metrics, a row at a time, in two files of its folder: metrics.csv for spreadsheets and
// metrics.jsonl for programs.
//
//   MetricsLog log(folder, metrics_columns(), MetricsLog::Existing::replace);
//   log.append({{"kind", "step"}, {"epoch", epoch}, {"iteration", step}, {"loss", loss}});   // in memory
//   log.append({{"kind", "epoch"}, {"epoch", epoch}, {"iteration", step}, {"validation_accuracy", 0.565}});
//   log.flush();                                   // in the files; sync() before each checkpoint
//
//   MetricsLog log(folder, metrics_columns(), MetricsLog::Existing::keep);                   // after
//   --resume log.truncate_after(checkpoint_iteration);
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tapestry {

/// A column's name and a number or a word. Names and words are not copied: they live until append() returns.
struct Metric {
  std::string_view name;
  std::variant<double, float, std::int64_t, std::string_view> value;

  Metric(std::string_view n, double v) : name(n), value(v) {}
  Metric(std::string_view n, float v) : name(n), value(v) {}
  template <std::integral T>
  Metric(std::string_view n, T v) : name(n), value(std::int64_t(v)) {}
  Metric(std::string_view n, std::string_view v) : name(n), value(v) {}
  Metric(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
};

/// What a training run records. kind is "step" or "epoch"; seconds count from the start of the run.
std::vector<std::string> metrics_columns();

class MetricsLog {
 public:
  enum class Existing { replace, keep };

  /// Opens folder/metrics.csv and folder/metrics.jsonl; the folder must exist. With `keep`, a last line torn
  /// by a crash is dropped. Throws IoError if the files can't be opened, or have other columns than these.
  MetricsLog(const std::filesystem::path& folder, std::vector<std::string> columns, Existing existing);
  /// Flushes; what can't be written is lost in silence, so call flush() where that matters.
  ~MetricsLog();
  MetricsLog(MetricsLog&&) noexcept;
  MetricsLog& operator=(MetricsLog&&) = delete;

  /// Adds a row. Columns that it doesn't name stay empty in the CSV and absent in the JSON. Rows stay in
  /// memory until flush(), or until the buffer (64 kB a file) is full; the steady state allocates nothing.
  /// Throws Error for a name that is no column.
  void append(std::span<const Metric> row);
  void append(std::initializer_list<Metric> row) { append(std::span(row.begin(), row.size())); }

  /// Writes the buffered rows with one write() a file. If that fails, nothing of them stays in the file, they
  /// stay in the buffer, and an IoError names the file and the reason.
  void flush();

  /// Flushes, and returns when the rows would survive a power cut: before a checkpoint, which counts on them.
  void sync();

  /// Flushes, then drops the first row whose "iteration" is later than this one, and everything after it.
  void truncate_after(std::int64_t iteration);

 private:
  struct File {
    std::filesystem::path path;
    int descriptor = -1;
    std::string buffer;
  };
  void open(File& file, bool replace);
  void repair();
  static void write(File& file);

  std::vector<std::string> columns_;
  std::vector<const Metric*> row_;  // by column; here so that append() allocates nothing
  File csv_, json_;
};

}  // namespace tapestry
