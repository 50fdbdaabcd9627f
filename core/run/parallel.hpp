// The threads that everything runs on, and the one knob for them. Work is cut into chunks whose boundaries
// depend on shapes alone; threads take chunks as they become free, so results never depend on how many there
// are.
#pragma once

#include <tapestry/core/function_ref.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace tapestry {

/// Calls `body(0)` ... `body(chunks - 1)`, each once, and returns when all have returned. Chunks are begun in
/// order, by whichever thread is free. A loop within a chunk is serial, and so is one that starts while
/// another thread's loop runs: the threads are busy then. If `body` throws, the chunks not yet begun are
/// dropped and the exception of the lowest chunk that threw is rethrown, the same for any number of threads.
/// A call costs about a microsecond and no memory.
void parallel_for(std::int64_t chunks, FunctionRef<void(std::int64_t)> body);

/// How many threads work, the caller included. At first TAPESTRY_THREADS, or else the CPUs that this process
/// may use: its affinity mask and its control group's quota count, not what the machine has.
int thread_count();

/// Takes effect for loops that begin later. Throws if not in [1, 1024] or if called within a loop. More
/// threads than CPUs are allowed.
void set_thread_count(int count);

/// Told, on the thread itself, of each stretch of time in which it worked on a loop's chunks; the times are
/// nanoseconds of the steady clock. Must not throw or allocate.
using WorkObserver = std::function<void(std::int64_t begin, std::int64_t end)>;
/// At most one watches, the last one that asked for it. It must be there until it stops observing, and
/// neither call may overlap with a loop.
void observe_work(const WorkObserver* observer);
void stop_observing_work(const WorkObserver* observer);

/// Splits `size` into even pieces of about `most` at most, cut at multiples of `align`. The pieces follow
/// from the arguments alone.
class Chunks {
 public:
  Chunks(std::int64_t size, std::int64_t most, std::int64_t align = 1);

  std::int64_t count() const { return count_; }
  std::int64_t begin(std::int64_t chunk) const { return chunk * step_; }
  std::int64_t end(std::int64_t chunk) const { return chunk + 1 == count_ ? size_ : (chunk + 1) * step_; }

 private:
  std::int64_t size_, step_, count_;
};

/// `body(begin, end)` over [0, size) in chunks of at most `most`, cut at multiples of `align`.
template <class Body>
void parallel_ranges(std::int64_t size, std::int64_t most, const Body& body, std::int64_t align = 1) {
  const Chunks chunks(size, most, align);
  parallel_for(chunks.count(), [&](std::int64_t chunk) { body(chunks.begin(chunk), chunks.end(chunk)); });
}

/// One job at a time on a thread of its own, for reading ahead. It makes progress whatever the other threads
/// do; a parallel_for within it is serial, so as not to compete with the step in progress.
class BackgroundTask {
 public:
  BackgroundTask();
  /// Waits for the job; its exception, if any, is dropped.
  ~BackgroundTask();
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;

  /// Starts a job. Throws if the last one was not waited for.
  void start(std::function<void()> job);
  /// Returns when the job has; rethrows what it threw. Without a job it returns at once.
  void wait();

 private:
  struct Worker;
  std::unique_ptr<Worker> worker_;
};

namespace detail {
/// The CPUs that a cgroup v2 `cpu.max` ("max 100000", "150000 100000") allows, rounded up; 0 if it sets no
/// limit.
int cpus_of_quota(const std::string& cpu_max);

/// The smallest limit of this process's control group and those around it, versions 1 and 2; 0 if there is
/// none. `contents` gives a file's text, empty if there is no such file.
int cpus_of_groups(const std::function<std::string(const std::string& path)>& contents);
}  // namespace detail

}  // namespace tapestry
