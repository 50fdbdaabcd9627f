#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>

#include <sched.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

namespace tapestry {
namespace {

constexpr int kMostThreads = 1024;

int cpus_of_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return int(std::max(1u, std::thread::hardware_concurrency()));
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int default_threads() {
  if (const char* wish = std::getenv("TAPESTRY_THREADS"); wish != nullptr && *wish != '\0') {
    const std::string_view digits = wish;
    int count = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    require(
        error == std::errc() && end == digits.data() + digits.size() && count >= 1 && count <= kMostThreads,
        "TAPESTRY_THREADS is '", wish, "', not a whole number from 1 to ", kMostThreads);
    return count;
  }
  const int quota = detail::cpus_of_groups(contents);
  return std::min({cpus_of_affinity(), quota > 0 ? quota : kMostThreads, kMostThreads});
}

// True on a thread whose parallel loops are serial: within a chunk (the threads are busy with its siblings
// already) and on a background task's thread.
thread_local bool serial = false;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

std::int64_t steady_nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// How to wait for another thread: look again and again, at first without leaving the CPU, then giving way to
// others.
class Patience {
 public:
  explicit Patience(bool give_way) : give_way_(give_way) {}

  void wait() {
    if (++looks_ > kQuick || give_way_) {
      std::this_thread::yield();
    } else {
      pause();
    }
  }
  bool exhausted() {
    if (looks_ < kQuick || looks_ % 64 != 0) return false;
    const auto now = std::chrono::steady_clock::now();
    if (since_ == std::chrono::steady_clock::time_point()) since_ = now;
    return now - since_ > kLongest;
  }

 private:
  static constexpr int kQuick = 2000;  // about 20 us
  static constexpr std::chrono::microseconds kLongest{1000};

  bool give_way_;
  std::int64_t looks_ = 0;
  std::chrono::steady_clock::time_point since_;
};

// A loop's threads are TBB workers that stay for a millisecond after their last chunk, looking for the next
// loop. TBB's own parallel_for lets them sleep instead, and waking one takes longer than a typical loop does.
// Measured for 40 us of work in two halves on two cores: TBB 21 us when called back to back, but 45 us (as
// slow as one thread) after a gap of 100 us, and at times 40 us whatever the gap; this 20-21 us in all cases.
class Team {
 public:
  Team() { resize(default_threads()); }

  int count() const { return count_; }

  void resize(int count) {
    if (count == count_) return;
    while (taken_.exchange(true)) std::this_thread::yield();  // another thread's loop ends first
    retire_ = true;
    while (members_ != 0) std::this_thread::yield();
    retire_ = false;
    arena_.terminate();
    limit_.emplace(tbb::global_control::max_allowed_parallelism, std::size_t(count));
    arena_.initialize(count);
    count_ = count;
    crowded_ = count > cpus_of_affinity();
    taken_ = false;
  }

  std::atomic<const WorkObserver*>& observer() { return observer_; }

  /// False if another thread has the team.
  bool run(std::int64_t chunks, FunctionRef<void(std::int64_t)> body) {
    if (taken_.exchange(true, std::memory_order_acquire)) return false;
    serial = true;
    body_ = &body;
    finished_.store(0, std::memory_order_relaxed);
    ticket_.store(std::uint64_t(chunks) << 32, std::memory_order_release);
    while (members_.load(std::memory_order_relaxed) + 1 < count_) {
      ++members_;
      arena_.enqueue([this] { serve(); });
    }
    work();
    for (Patience patience(crowded_); finished_.load(std::memory_order_acquire) != chunks;) patience.wait();
    serial = false;
    std::exception_ptr error = std::exchange(error_, nullptr);
    taken_.store(false, std::memory_order_release);
    if (error) std::rethrow_exception(error);
    return true;
  }

 private:
  // A member's life.
  void serve() {
    serial = true;
    for (Patience patience(crowded_); !retire_.load(std::memory_order_relaxed) && !patience.exhausted();) {
      if (work()) {
        patience = Patience(crowded_);
      } else {
        patience.wait();
      }
    }
    serial = false;
    --members_;
  }

  // Runs chunks while there are any. The ticket holds the number of chunks and the next one's index in one
  // word, so that a claim is one addition, and whoever gets an index below the number knows that the loop
  // can't end without him.
  bool work() {
    std::int64_t done = 0, begin = 0;
    const WorkObserver* observer = nullptr;
    while (open(ticket_.load(std::memory_order_relaxed))) {
      const std::uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acquire);
      if (!open(ticket)) break;
      if (done == 0 && (observer = observer_.load(std::memory_order_relaxed))) begin = steady_nanoseconds();
      ++done;
      const auto chunk = std::int64_t(ticket & kIndex);
      try {
        (*body_)(chunk);
      } catch (...) {
        done += stop(chunk, std::current_exception());
      }
    }
    if (observer)
      (*observer)(begin, steady_nanoseconds());  // before the loop can end, and the observer with it
    if (done != 0) finished_.fetch_add(done, std::memory_order_release);
    return done != 0;
  }

  // Drops the chunks that nobody has claimed and returns their number. Chunks are claimed in order, so all
  // before the first that throws do run: the error reported is the one that a serial loop would meet.
  std::int64_t stop(std::int64_t chunk, std::exception_ptr error) {
    const std::lock_guard lock(error_mutex_);
    if (!error_ || chunk < error_chunk_) {
      error_ = std::move(error);
      error_chunk_ = chunk;
    }
    const std::uint64_t ticket = ticket_.exchange(0, std::memory_order_relaxed);
    return open(ticket) ? std::int64_t(ticket >> 32) - std::int64_t(ticket & kIndex) : 0;
  }

  static constexpr std::uint64_t kIndex = 0xffffffff;
  static bool open(std::uint64_t ticket) { return (ticket & kIndex) < ticket >> 32; }

  alignas(64) std::atomic<std::uint64_t> ticket_ = 0;
  alignas(64) std::atomic<std::int64_t> finished_ = 0;
  alignas(64) std::atomic<bool> taken_ = false;
  std::atomic<bool> retire_ = false;
  std::atomic<int> members_ = 0;
  std::atomic<const WorkObserver*> observer_ = nullptr;
  const FunctionRef<void(std::int64_t)>* body_ = nullptr;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::int64_t error_chunk_ = 0;
  std::atomic<int> count_ = 0;
  bool crowded_ = false;
  std::optional<tbb::global_control> limit_;
  tbb::task_arena arena_;
};

// Never destroyed: members and static objects elsewhere may still use it while the process ends.
Team& team() {
  static Team& instance = *new Team;
  return instance;
}

}  // namespace

void parallel_for(std::int64_t chunks, FunctionRef<void(std::int64_t)> body) {
  Team& threads = team();
  require(chunks < std::int64_t{1} << 31, "parallel_for: ", chunks, " chunks are too many");
  if (chunks > 1 && threads.count() > 1 && !serial && threads.run(chunks, body)) return;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
}

int thread_count() { return team().count(); }

void set_thread_count(int count) {
  require(count >= 1 && count <= kMostThreads, "the number of threads is ", count, ", not from 1 to ",
          kMostThreads);
  require(!serial, "set_thread_count: called within a parallel loop");
  team().resize(count);
}

void observe_work(const WorkObserver* observer) { team().observer().store(observer); }

void stop_observing_work(const WorkObserver* observer) {
  team().observer().compare_exchange_strong(observer, nullptr);
}

Chunks::Chunks(std::int64_t size, std::int64_t most, std::int64_t align)
    : size_(size), step_(align), count_(0) {
  if (size <= 0) return;
  const std::int64_t pieces = (size + most - 1) / most;
  const std::int64_t even = (size + pieces - 1) / pieces;
  step_ = (even + align - 1) / align * align;
  count_ = (size + step_ - 1) / step_;
}

struct BackgroundTask::Worker {
  std::mutex mutex;
  std::condition_variable changed;
  std::function<void()> job;
  std::exception_ptr error;
  bool busy = false, waited = true, stopping = false;
  std::thread thread;  // last: it uses the others

  void run() {
    serial = true;
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return busy || stopping; });
      if (!busy) return;
      lock.unlock();
      std::exception_ptr thrown;
      try {
        job();
      } catch (...) {
        thrown = std::current_exception();
      }
      job = nullptr;
      lock.lock();
      error = std::move(thrown);
      busy = false;
      changed.notify_all();
    }
  }
};

BackgroundTask::BackgroundTask() : worker_(std::make_unique<Worker>()) {
  worker_->thread = std::thread([worker = worker_.get()] { worker->run(); });
}

BackgroundTask::~BackgroundTask() {
  {
    const std::lock_guard lock(worker_->mutex);
    worker_->stopping = true;
  }
  worker_->changed.notify_all();
  worker_->thread.join();
}

void BackgroundTask::start(std::function<void()> job) {
  {
    const std::lock_guard lock(worker_->mutex);
    require(worker_->waited, "BackgroundTask::start: the last job was not waited for");
    worker_->job = std::move(job);
    worker_->busy = true;
    worker_->waited = false;
  }
  worker_->changed.notify_all();
}

void BackgroundTask::wait() {
  std::unique_lock lock(worker_->mutex);
  worker_->changed.wait(lock, [&] { return !worker_->busy; });
  worker_->waited = true;
  if (std::exception_ptr error = std::exchange(worker_->error, nullptr)) std::rethrow_exception(error);
}

namespace detail {

int cpus_of_quota(const std::string& cpu_max) {
  std::istringstream in(cpu_max);
  std::int64_t quota = 0, period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return int(std::min<std::int64_t>((quota + period - 1) / period, kMostThreads));
}

int cpus_of_groups(const std::function<std::string(const std::string&)>& contents) {
  int least = 0;
  const auto limit = [&](const std::string& quota) {
    if (const int cpus = cpus_of_quota(quota); cpus > 0) least = least == 0 ? cpus : std::min(least, cpus);
  };
  // ID:CONTROLLERS:PATH; version 2 has no controllers there. A container may see only a part of its path, so
  // the groups around it are tried up to the root.
  std::istringstream groups(contents("/proc/self/cgroup"));
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool cpu = text(',', controllers, ',').find(",cpu,") != std::string::npos;
    if (!controllers.empty() && !cpu) continue;
    std::string path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    while (path.ends_with('/')) path.pop_back();
    for (;; path.erase(path.rfind('/'))) {
      for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        if (controllers.empty()) limit(contents(root + path + "/cpu.max"));
      }
      for (const std::string& mount : {controllers, std::string("cpu")}) {
        if (!cpu) break;
        const std::string folder = "/sys/fs/cgroup/" + mount + path;
        limit(contents(folder + "/cpu.cfs_quota_us") + " " + contents(folder + "/cpu.cfs_period_us"));
      }
      if (path.empty()) break;
    }
  }
  return least;
}

}  // namespace detail
}  // namespace tapestry
