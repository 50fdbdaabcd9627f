#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <cblas.h>
#include <sched.h>
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
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

// The quotas of this process's group and of those around it all hold, so the smallest counts.
int cpus_of_cgroup() {
  int least = kMostThreads;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::string path = line.substr(3);; path.erase(path.rfind('/'))) {
      for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        std::ifstream file(root + path + "/cpu.max");
        std::string quota;
        if (!std::getline(file, quota)) continue;
        if (const int cpus = detail::cpus_of_quota(quota); cpus > 0) least = std::min(least, cpus);
      }
      if (path.empty()) break;
    }
  }
  return least;
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
  return std::min({cpus_of_affinity(), cpus_of_cgroup(), kMostThreads});
}

// One arena for the life of the process. The limit lets it have more threads than the machine has CPUs.
class Pool {
 public:
  Pool() {
    // A product is cut into tiles here; threads inside a tile would only compete with the other tiles.
    openblas_set_num_threads(1);
    resize(default_threads());
  }

  void resize(int count) {
    if (count == count_) return;
    arena_.terminate();
    limit_.emplace(tbb::global_control::max_allowed_parallelism, std::size_t(count));
    arena_.initialize(count);
    count_ = count;
  }

  int count() const { return count_; }
  tbb::task_arena& arena() { return arena_; }

 private:
  int count_ = 0;
  std::optional<tbb::global_control> limit_;
  tbb::task_arena arena_;
};

// Never destroyed: static objects elsewhere may still use it while the process ends.
Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

thread_local bool in_background = false;

struct Body {
  FunctionRef<void(std::int64_t)> body;
  void operator()(const tbb::blocked_range<std::int64_t>& range) const {
    for (std::int64_t chunk = range.begin(); chunk != range.end(); ++chunk) body(chunk);
  }
};

}  // namespace

void parallel_for(std::int64_t chunks, FunctionRef<void(std::int64_t)> body) {
  Pool& threads = pool();
  if (chunks <= 1 || threads.count() == 1 || in_background) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  threads.arena().execute([&] {
    // Isolated: while it waits, a thread takes no chunk of an outer loop, whose buffers it may be holding.
    tbb::this_task_arena::isolate([&] {
      tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, chunks), Body{body}, tbb::simple_partitioner());
    });
  });
}

int thread_count() { return pool().count(); }

void set_thread_count(int count) {
  require(count >= 1 && count <= kMostThreads, "the number of threads is ", count, ", not from 1 to ",
          kMostThreads);
  pool().resize(count);
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
    in_background = true;
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

}  // namespace detail
}  // namespace tapestry
