// Where the time of a step goes. A Profiler is given to the programs, loaders and trainers that it shall
// watch:
//
//   Profiler profiler;
//   step.profile(&profiler, "training step");      // a Program or a Function
//   ... run it many times ...
//   std::cout << profile_table(profiler.programs().front(), limits).text();   //
//   models/report/profile_report.hpp
//
// It sums up all steps and keeps the slices of the first few for a trace. While it watches it allocates
// nothing, reads the clock twice a task and writes to memory made beforehand; programs without one pay a
// comparison with null.
#pragma once

#include <tapestry/core/compile/task_info.hpp>
#include <tapestry/core/run/parallel.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tapestry {

struct ProfilerOptions {
  /// The trace ends with this step of the program that gets there first.
  std::int64_t trace_steps = 20;
  /// Slices that the trace has room for, 48 bytes each; further ones are dropped and counted.
  std::size_t trace_slices = std::size_t{1} << 16;
};

class Profiler {
 public:
  using Nanoseconds = std::int64_t;  // since the profiler was made, or of duration

  struct Timing {
    std::int64_t calls = 0;
    Nanoseconds total = 0;
  };
  struct ProgramProfile {
    std::string name;
    std::vector<TaskInfo> tasks;
    std::vector<Timing> timings;          // by task
    Timing steps;                         // whole steps: tasks and what is between them
    std::vector<Nanoseconds> step_times;  // of the first 65,536
  };
  struct PhaseProfile {
    std::string name;
    std::atomic<std::int64_t> calls = 0;
    std::atomic<Nanoseconds> total = 0;
  };
  struct Slice {
    enum class Kind : std::uint8_t { step, task, phase, work };
    Kind kind{};
    std::uint32_t thread = 0;      // small numbers, in the order in which threads were first met
    std::uint32_t source = kNone;  // of a phase: which one; else the program, kNone if it is none's
    std::uint32_t index = kNone;   // the task, or the number of the step
    Nanoseconds begin = 0, end = 0;
  };

  explicit Profiler(const ProfilerOptions& options = {});
  /// No program that it watches may be running.
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  Nanoseconds now() const;
  /// Of the profiler's life so far.
  Nanoseconds elapsed() const { return now(); }

  /// What is to be watched; these allocate. Phases of one name are one.
  std::uint32_t add_program(std::string name, std::vector<TaskInfo> tasks);
  std::uint32_t add_phase(std::string name);

  /// Around each task and each step, by the program.
  Nanoseconds begin_task(std::uint32_t program, std::uint32_t task);
  void end_task(std::uint32_t program, std::uint32_t task, Nanoseconds begin);
  void end_step(std::uint32_t program, Nanoseconds begin);
  /// On any thread.
  void end_phase(std::uint32_t phase, Nanoseconds begin);

  /// While nothing runs:
  const std::deque<ProgramProfile>& programs() const { return programs_; }
  const std::deque<PhaseProfile>& phases() const { return phases_; }
  /// The traced slices by their beginning, the longer first of those that begin together.
  std::vector<Slice> slices() const;
  std::int64_t dropped() const;

 private:
  struct Slot {
    Slice slice;
    std::atomic<bool> ready = false;
  };
  void trace(const Slice& slice);

  std::int64_t trace_steps_;
  Nanoseconds start_;
  std::mutex adding_;
  std::deque<ProgramProfile> programs_;  // deques: adding moves nothing that a running program looks at
  std::deque<PhaseProfile> phases_;
  std::size_t capacity_;
  std::unique_ptr<Slot[]> slots_;
  std::atomic<std::size_t> next_slot_ = 0;
  std::atomic<bool> tracing_;
  std::atomic<std::uint64_t> current_;  // program and task that threads work for
  WorkObserver observer_;
};

/// Times a part of the program while it lives; does nothing without a profiler.
class PhaseTimer {
 public:
  PhaseTimer(Profiler* profiler, std::uint32_t phase)
      : profiler_(profiler), phase_(phase), begin_(profiler ? profiler->now() : 0) {}
  ~PhaseTimer() {
    if (profiler_) profiler_->end_phase(phase_, begin_);
  }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  Profiler* profiler_;
  std::uint32_t phase_;
  Profiler::Nanoseconds begin_;
};

}  // namespace tapestry
