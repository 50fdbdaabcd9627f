// What a Profiler saw, as tables for the terminal and as a trace for https://ui.perfetto.dev or
// chrome://tracing.
//
//   const kernels::MachineLimits limits = kernels::measure_machine();
//   std::cout << profile_table(profiler.programs().front(), limits).text();
//   write_file_atomically("trace.json", chrome_trace(profiler, limits));
#pragma once

#include <tapestry/core/run/profiler.hpp>
#include <tapestry/models/report/text_table.hpp>
#include <tapestry/ops/kernels/machine_limits.hpp>

#include <cstddef>
#include <string>

namespace tapestry {

/// A row of the table: all tasks of a program with the same op, label and shapes.
struct ProfileRow {
  std::string kind = {};  // "loops, backward"; the op where it is no loop
  std::string op = {}, label = {}, shapes = {};
  std::int64_t calls = 0;  // of all steps
  double seconds = 0;      // of all calls
  double flops = 0;
  double bytes = 0;
};
/// By time, longest first, then what a step spends outside of tasks (op "between tasks", no label): together
/// the time of all steps.
std::vector<ProfileRow> profile_rows(const Profiler::ProgramProfile& program);

/// Work and rates of a step, in all.
struct StepProfile {
  std::int64_t steps = 0;
  double seconds = 0;  // a step's mean
  double median = 0;
  double flops = 0, bytes = 0;  // of one step
  double outside_bytes = 0;     // State, arguments, constants and outputs alone
  /// The share of the machine's limit: the time that the work takes at the rates measured, over the time that
  /// it took.
  double of_limit(const kernels::MachineLimits& limits) const {
    return limits.seconds(flops, bytes) / median;
  }
};
StepProfile step_profile(const Profiler::ProgramProfile& program);

/// op, part of the model, shapes, calls, ms a step, share of the time, GFLOP/s, GB/s, share of the machine's
/// limit. At most `rows` rows, the others in one; then the total of a step.
TextTable profile_table(const Profiler::ProgramProfile& program, const kernels::MachineLimits& limits,
                        std::size_t rows = 25);
/// The same by kind of task: matmul, loop, ...
TextTable profile_summary(const Profiler::ProgramProfile& program, const kernels::MachineLimits& limits);
/// What else there was: steps of each program, waiting for data, evaluating, saving; calls, time, share of
/// the time that the profiler lived.
TextTable phase_table(const Profiler& profiler, Profiler::Nanoseconds elapsed);
/// "batches: 100 made in 2.100 ms each by one core while a step runs; a step waited 0.030 ms for its own":
/// were batches ever the bottleneck? Empty if no loader was watched.
std::string loader_text(const Profiler& profiler);
/// All of it with a few words, for the terminal.
std::string profile_text(const Profiler& profiler, const kernels::MachineLimits& limits);

/// The traced slices as JSON trace events: a track a thread; tasks within steps, each with its part of the
/// model, shapes, bytes and FLOPs.
std::string chrome_trace(const Profiler& profiler, const kernels::MachineLimits& limits);

}  // namespace tapestry
