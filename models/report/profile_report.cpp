#include <tapestry/core/error.hpp>
#include <tapestry/models/data/loader.hpp>
#include <tapestry/models/report/format.hpp>
#include <tapestry/models/report/profile_report.hpp>

#include <algorithm>
#include <map>
#include <tuple>

namespace tapestry {
namespace {

constexpr auto kRight = TextTable::Align::right;

double seconds(Profiler::Nanoseconds t) { return double(t) * 1e-9; }

/// "-" where there is no work or no time to divide by.
std::string rate(double work, double time) {
  return work > 0 && time > 0 ? format_fixed(work / time * 1e-9, 1) : "-";
}

std::string of_limit(double flops, double bytes, double time, const kernels::MachineLimits& limits) {
  return flops + bytes > 0 && time > 0 ? format_percent(limits.seconds(flops, bytes) / time, 0) : "-";
}

void add_to(ProfileRow& sum, const ProfileRow& row) {
  sum.calls += row.calls;
  sum.seconds += row.seconds;
  sum.flops += row.flops;
  sum.bytes += row.bytes;
}

ProfileRow sum_of(std::span<const ProfileRow> rows) {
  ProfileRow sum;
  for (const ProfileRow& row : rows) add_to(sum, row);
  return sum;
}

std::string kind_of(const TaskInfo& task) {
  if (!task.is_loop) return task.op;
  if (task.writes_state) return "loops that update State";
  return task.label.starts_with("grad") ? "loops, backward" : "loops, forward";
}

/// The cells that all tables have: calls, ms a step, share, rates.
TextTable::Row figures(const ProfileRow& row, double steps, double total,
                       const kernels::MachineLimits& limits) {
  return {format_count(row.calls),
          format_fixed(row.seconds / steps * 1e3, 3),
          format_percent(row.seconds / total),
          rate(row.flops, row.seconds),
          rate(row.bytes, row.seconds),
          of_limit(row.flops, row.bytes, row.seconds, limits)};
}

TextTable::Row joined(TextTable::Row names, const TextTable::Row& cells) {
  names.insert(names.end(), cells.begin(), cells.end());
  return names;
}

std::vector<TextTable::Column> columns(std::vector<TextTable::Column> names) {
  for (const char* name : {"calls", "ms/step", "share", "GFLOP/s", "GB/s", "of limit"})
    names.push_back({name, kRight});
  return names;
}

}  // namespace

std::vector<ProfileRow> profile_rows(const Profiler::ProgramProfile& program) {
  std::map<std::tuple<std::string, std::string, std::string>, ProfileRow> by_name;
  double in_tasks = 0;
  for (std::size_t t = 0; t < program.tasks.size(); ++t) {
    const TaskInfo& task = program.tasks[t];
    const Profiler::Timing& timing = program.timings[t];
    ProfileRow& row = by_name[{task.op, task.label, task.shapes}];
    row.kind = kind_of(task);
    row.op = task.op;
    row.label = task.label;
    row.shapes = task.shapes;
    row.calls += timing.calls;
    row.seconds += seconds(timing.total);
    row.flops += task.flops * double(timing.calls);
    row.bytes += task.bytes * double(timing.calls);
    in_tasks += seconds(timing.total);
  }
  std::vector<ProfileRow> rows;
  for (auto& [name, row] : by_name) rows.push_back(std::move(row));
  std::ranges::stable_sort(rows, std::ranges::greater(), &ProfileRow::seconds);
  // A step that threw has run tasks, but isn't counted.
  const double between = std::max(seconds(program.steps.total) - in_tasks, 0.0);
  rows.push_back(
      {.kind = "between tasks", .op = "between tasks", .calls = program.steps.calls, .seconds = between});
  return rows;
}

StepProfile step_profile(const Profiler::ProgramProfile& program) {
  StepProfile step{.steps = program.steps.calls};
  for (const TaskInfo& task : program.tasks) {
    step.flops += task.flops;
    step.bytes += task.bytes;
    step.outside_bytes += task.outside_bytes;
  }
  if (step.steps == 0) return step;
  step.seconds = seconds(program.steps.total) / double(step.steps);
  std::vector<Profiler::Nanoseconds> times = program.step_times;
  std::ranges::nth_element(times, times.begin() + std::ptrdiff_t(times.size() / 2));
  step.median = seconds(times[times.size() / 2]);
  return step;
}

TextTable profile_table(const Profiler::ProgramProfile& program, const kernels::MachineLimits& limits,
                        std::size_t most) {
  const std::vector<ProfileRow> rows = profile_rows(program);
  const ProfileRow all = sum_of(rows);
  const auto steps = double(std::max<std::int64_t>(program.steps.calls, 1));
  TextTable table(columns({{"op"}, {"part of the model"}, {"shapes"}}));
  const std::size_t shown = std::min(most, rows.size() - 1);
  const auto add = [&](const ProfileRow& row, std::string op, std::string label) {
    table.row(
        joined({std::move(op), std::move(label), row.shapes}, figures(row, steps, all.seconds, limits)));
  };
  for (std::size_t i = 0; i < shown; ++i) add(rows[i], rows[i].op, rows[i].label);
  if (shown + 1 < rows.size()) {
    const auto rest = std::span(rows).subspan(shown, rows.size() - 1 - shown);
    add(sum_of(rest), text(rest.size(), " others"), "");
  }
  add(rows.back(), rows.back().op, "");
  table.rule();
  ProfileRow step = all;
  step.calls = program.steps.calls;
  add(step, "a step", "");
  return table;
}

TextTable profile_summary(const Profiler::ProgramProfile& program, const kernels::MachineLimits& limits) {
  std::vector<ProfileRow> kinds;
  for (const ProfileRow& row : profile_rows(program)) {
    auto it = std::ranges::find(kinds, row.kind, &ProfileRow::op);
    if (it == kinds.end()) it = kinds.insert(kinds.end(), ProfileRow{.op = row.kind});
    add_to(*it, row);
  }
  std::ranges::stable_sort(kinds, std::ranges::greater(), &ProfileRow::seconds);
  const double total = sum_of(kinds).seconds;
  const auto steps = double(std::max<std::int64_t>(program.steps.calls, 1));
  TextTable table(columns({{"kind of task"}}));
  for (const ProfileRow& kind : kinds) table.row(joined({kind.op}, figures(kind, steps, total, limits)));
  return table;
}

TextTable phase_table(const Profiler& profiler, Profiler::Nanoseconds elapsed) {
  TextTable table({{"part of the run"}, {"calls", kRight}, {"time", kRight}, {"share of the run", kRight}});
  const auto add = [&](const std::string& name, std::int64_t calls, Profiler::Nanoseconds total) {
    table.row({name, format_count(calls), format_duration(seconds(total)),
               format_percent(double(total) / double(elapsed))});
  };
  for (const Profiler::ProgramProfile& program : profiler.programs())
    add(program.name, program.steps.calls, program.steps.total);
  for (const Profiler::PhaseProfile& phase : profiler.phases()) add(phase.name, phase.calls, phase.total);
  return table;
}

std::string loader_text(const Profiler& profiler) {
  const auto phase = [&](std::string_view name) {
    const auto it = std::ranges::find(profiler.phases(), name, &Profiler::PhaseProfile::name);
    return it == profiler.phases().end() || it->calls == 0 ? nullptr : &*it;
  };
  const auto* making = phase(BatchLoader::kMaking);
  const auto* waiting = phase(BatchLoader::kWaiting);
  if (making == nullptr || waiting == nullptr) return "";
  const auto each = [](const Profiler::PhaseProfile& p) {
    return format_fixed(seconds(p.total) / double(p.calls) * 1e3, 3) + " ms";
  };
  return text("batches: ", format_count(making->calls), " made in ", each(*making),
              " each by one core while a step runs; a step waited ", each(*waiting), " for its own\n");
}

std::string profile_text(const Profiler& profiler, const kernels::MachineLimits& limits) {
  std::string out =
      text("the machine, by ", limits.threads,
           limits.threads == 1 ? " thread: " : " threads: ", format_fixed(limits.flops_per_second * 1e-9, 0),
           " GFLOP/s in matrix products, ", format_fixed(limits.bytes_per_second * 1e-9, 0),
           " GB/s between memory and cores\n\n");
  out += phase_table(profiler, profiler.elapsed()).text();
  if (const std::string batches = loader_text(profiler); !batches.empty()) out += '\n' + batches;
  for (const Profiler::ProgramProfile& program : profiler.programs()) {
    const StepProfile step = step_profile(program);
    if (step.steps == 0) continue;
    out += text('\n', program.name, ": ", format_count(step.steps), " times, ",
                format_fixed(step.seconds * 1e3, 3), " ms each, median ", format_fixed(step.median * 1e3, 3),
                " ms\n\n");
    out += profile_summary(program, limits).text() + '\n' + profile_table(program, limits).text();
    const double least = limits.seconds(step.flops, step.bytes);
    out += text(
        "\nThe machine's limit for ", format_significant(step.flops * 1e-9, 3), " GFLOP and ",
        format_significant(step.bytes * 1e-6, 3), " MB is ", format_fixed(least * 1e3, 3),
        " ms: ", format_percent(step.of_limit(limits), 0), " of the median. With the ",
        format_significant(step.outside_bytes * 1e-6, 3), " MB of State, arguments and results alone it is ",
        format_fixed(limits.seconds(step.flops, step.outside_bytes) * 1e3, 3),
        " ms: ", format_percent(limits.seconds(step.flops, step.outside_bytes) / step.median, 0), ".\n");
  }
  return out;
}

}  // namespace tapestry
