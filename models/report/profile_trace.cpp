#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/profile_report.hpp>

#include <map>
#include <set>

namespace tapestry {
namespace {

using Slice = Profiler::Slice;

/// Writes one event after the other; https://perfetto.dev/docs/getting-started/other-formats describes them.
class TraceWriter {
 public:
  void meta(std::string_view what, std::uint32_t thread, std::string_view name) {
    open(what, "M", thread);
    out_ += ",\"args\":{\"name\":";
    append_json_string(out_, name);
    out_ += "}}";
  }

  void open_slice(std::string_view name, std::string_view category, const Slice& slice) {
    open(name, "X", slice.thread);
    out_ += ",\"cat\":";
    append_json_string(out_, category);
    // Microseconds; thousandths keep the nanoseconds.
    out_ += ",\"ts\":" + format_fixed(double(slice.begin) * 1e-3, 3) +
            ",\"dur\":" + format_fixed(double(slice.end - slice.begin) * 1e-3, 3) + ",\"args\":{";
    first_argument_ = true;
  }
  void argument(std::string_view name, std::string_view value) {
    key(name);
    append_json_string(out_, value);
  }
  void argument(std::string_view name, double value) {
    key(name);
    append_shortest(out_, value);
  }
  void close_slice() { out_ += "}}"; }

  std::string finish(const kernels::MachineLimits& limits) && {
    out_ +=
        "\n],\n\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"threads\":" + std::to_string(limits.threads) +
        ",\"flops_per_second\":";
    append_shortest(out_, limits.flops_per_second);
    out_ += ",\"bytes_per_second\":";
    append_shortest(out_, limits.bytes_per_second);
    return std::move(out_) + "}}\n";
  }

 private:
  void open(std::string_view name, std::string_view phase, std::uint32_t thread) {
    out_ += first_event_ ? "\n{\"name\":" : ",\n{\"name\":";
    first_event_ = false;
    append_json_string(out_, name);
    out_ += ",\"ph\":\"" + std::string(phase) + "\",\"pid\":1,\"tid\":" + std::to_string(thread);
  }
  void key(std::string_view name) {
    if (!first_argument_) out_ += ',';
    first_argument_ = false;
    append_json_string(out_, name);
    out_ += ':';
  }

  std::string out_ = "{\"traceEvents\":[";
  bool first_event_ = true, first_argument_ = true;
};

std::string task_name(const TaskInfo& task) {
  return task.op == "loop" ? task.label : task.op + ' ' + task.label;
}

/// Threads that run steps, those that share in loops, and others.
std::map<std::uint32_t, std::string> thread_names(std::span<const Slice> slices) {
  std::set<std::uint32_t> all, steps, workers;
  for (const Slice& slice : slices) {
    all.insert(slice.thread);
    if (slice.kind == Slice::Kind::step || slice.kind == Slice::Kind::task) steps.insert(slice.thread);
    if (slice.kind == Slice::Kind::work) workers.insert(slice.thread);
  }
  std::map<std::uint32_t, std::string> names;
  int worker = 0, background = 0;
  for (const std::uint32_t thread : all) {
    if (steps.contains(thread)) {
      names[thread] = "steps";
    } else if (workers.contains(thread)) {
      names[thread] = "worker " + std::to_string(++worker);
    } else {
      names[thread] = "background " + std::to_string(++background);
    }
  }
  return names;
}

}  // namespace

std::string chrome_trace(const Profiler& profiler, const kernels::MachineLimits& limits) {
  const std::vector<Slice> slices = profiler.slices();
  TraceWriter trace;
  trace.meta("process_name", 0, "tapestry");
  for (const auto& [thread, name] : thread_names(slices)) trace.meta("thread_name", thread, name);
  for (const Slice& slice : slices) {
    if (slice.kind == Slice::Kind::phase) {
      trace.open_slice(profiler.phases()[slice.source].name, "phase", slice);
    } else if (slice.source == kNone) {
      trace.open_slice("parallel loop", "work", slice);
    } else if (slice.kind == Slice::Kind::step) {
      const auto& program = profiler.programs()[slice.source];
      trace.open_slice(program.name, "step", slice);
      trace.argument("step", double(slice.index));
    } else {
      const TaskInfo& task = profiler.programs()[slice.source].tasks[slice.index];
      const bool whole = slice.kind == Slice::Kind::task;
      trace.open_slice(task_name(task), whole ? "task" : "work", slice);
      if (whole) {
        trace.argument("op", task.op);
        trace.argument("part", task.label);
        trace.argument("shapes", task.shapes);
        trace.argument("flops", task.flops);
        trace.argument("bytes", task.bytes);
        const double nanoseconds = double(slice.end - slice.begin);
        if (nanoseconds > 0) {
          trace.argument("GFLOP/s", task.flops / nanoseconds);
          trace.argument("GB/s", task.bytes / nanoseconds);
        }
      }
    }
    trace.close_slice();
  }
  return std::move(trace).finish(limits);
}

}  // namespace tapestry
