#include <tapestry/core/run/profiler.hpp>

#include <algorithm>
#include <chrono>
#include <tuple>

namespace tapestry {
namespace {

constexpr std::size_t kStepTimes = 65'536;
constexpr std::uint64_t kNoTask = ~std::uint64_t{0};

std::uint32_t thread_number() {
  static std::atomic<std::uint32_t> next = 0;
  thread_local const std::uint32_t number = next++;
  return number;
}

Profiler::Nanoseconds clock_time() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Profiler::Profiler(const ProfilerOptions& options)
    : trace_steps_(options.trace_steps),
      start_(clock_time()),
      capacity_(options.trace_slices),
      slots_(std::make_unique<Slot[]>(capacity_)),
      tracing_(options.trace_steps > 0),
      current_(kNoTask) {
  thread_number();  // this thread comes first
  observer_ = [this](std::int64_t begin, std::int64_t end) {
    const std::uint64_t current = current_.load(std::memory_order_relaxed);
    trace({Slice::Kind::work, 0, std::uint32_t(current >> 32), std::uint32_t(current), begin - start_,
           end - start_});
  };
  observe_work(&observer_);
}

Profiler::~Profiler() { stop_observing_work(&observer_); }

Profiler::Nanoseconds Profiler::now() const { return clock_time() - start_; }

std::uint32_t Profiler::add_program(std::string name, std::vector<TaskInfo> tasks) {
  const std::lock_guard lock(adding_);
  ProgramProfile& program = programs_.emplace_back();
  program.name = std::move(name);
  program.timings.resize(tasks.size());
  program.tasks = std::move(tasks);
  program.step_times.reserve(kStepTimes);
  return std::uint32_t(programs_.size() - 1);
}

std::uint32_t Profiler::add_phase(std::string name) {
  const std::lock_guard lock(adding_);
  const auto it = std::ranges::find(phases_, name, &PhaseProfile::name);
  if (it != phases_.end()) return std::uint32_t(it - phases_.begin());
  phases_.emplace_back().name = std::move(name);
  return std::uint32_t(phases_.size() - 1);
}

Profiler::Nanoseconds Profiler::begin_task(std::uint32_t program, std::uint32_t task) {
  current_.store(std::uint64_t{program} << 32 | task, std::memory_order_relaxed);
  return now();
}

void Profiler::end_task(std::uint32_t program, std::uint32_t task, Nanoseconds begin) {
  const Nanoseconds end = now();
  current_.store(kNoTask, std::memory_order_relaxed);
  Timing& timing = programs_[program].timings[task];
  ++timing.calls;
  timing.total += end - begin;
  trace({Slice::Kind::task, 0, program, task, begin, end});
}

void Profiler::end_step(std::uint32_t program, Nanoseconds begin) {
  const Nanoseconds end = now();
  ProgramProfile& profile = programs_[program];
  trace({Slice::Kind::step, 0, program, std::uint32_t(profile.steps.calls), begin, end});
  ++profile.steps.calls;
  profile.steps.total += end - begin;
  if (profile.step_times.size() < kStepTimes) profile.step_times.push_back(end - begin);
  if (profile.steps.calls >= trace_steps_) tracing_.store(false, std::memory_order_relaxed);
}

void Profiler::end_phase(std::uint32_t phase, Nanoseconds begin) {
  const Nanoseconds end = now();
  PhaseProfile& profile = phases_[phase];
  profile.calls.fetch_add(1, std::memory_order_relaxed);
  profile.total.fetch_add(end - begin, std::memory_order_relaxed);
  trace({Slice::Kind::phase, 0, phase, kNone, begin, end});
}

void Profiler::trace(const Slice& slice) {
  if (!tracing_.load(std::memory_order_relaxed)) return;
  const std::size_t at = next_slot_.fetch_add(1, std::memory_order_relaxed);
  if (at >= capacity_) return;
  Slot& slot = slots_[at];
  slot.slice = slice;
  slot.slice.thread = thread_number();
  slot.ready.store(true, std::memory_order_release);
}

std::vector<Profiler::Slice> Profiler::slices() const {
  std::vector<Slice> all;
  for (std::size_t i = 0; i < std::min(next_slot_.load(), capacity_); ++i) {
    if (slots_[i].ready.load(std::memory_order_acquire)) all.push_back(slots_[i].slice);
  }
  std::ranges::sort(all, {}, [](const Slice& s) { return std::tuple(s.begin, -s.end, s.kind); });
  return all;
}

std::int64_t Profiler::dropped() const {
  return std::int64_t(next_slot_.load()) - std::int64_t(std::min(next_slot_.load(), capacity_));
}

}  // namespace tapestry
