#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/tests/support/restore_threads.hpp>

#include <atomic>
#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_FIXTURE_TEST_SUITE(parallel, test::RestoreThreads)

BOOST_AUTO_TEST_CASE(each_chunk_runs_once) {
  for (const int threads : {1, 2, 3, 5, 8}) {
    set_thread_count(threads);
    BOOST_TEST(thread_count() == threads);
    for (const std::int64_t chunks : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(std::size_t(chunks) + 1);
      parallel_for(chunks, [&](std::int64_t i) { ++runs[std::size_t(i)]; });
      for (std::int64_t i = 0; i < chunks; ++i) BOOST_TEST_REQUIRE(runs[std::size_t(i)] == 1);
      BOOST_TEST(runs.back() == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(more_threads_than_cpus_are_really_there) {
  set_thread_count(5);
  // Each chunk waits until all five have begun, which needs five threads.
  std::atomic<int> begun = 0;
  parallel_for(5, [&](std::int64_t) {
    ++begun;
    while (begun < 5) std::this_thread::yield();
  });
  BOOST_TEST(begun == 5);
}

BOOST_AUTO_TEST_CASE(calls_nest) {
  set_thread_count(3);
  std::atomic<int> sum = 0;
  parallel_for(10,
               [&](std::int64_t i) { parallel_for(10, [&](std::int64_t j) { sum += int(10 * i + j); }); });
  BOOST_TEST(sum == 4950);
}

BOOST_AUTO_TEST_CASE(exceptions_come_back) {
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    BOOST_CHECK_EXCEPTION(parallel_for(100,
                                       [](std::int64_t i) {
                                         if (i == 57) throw std::out_of_range("57");
                                       }),
                          std::out_of_range, [](const auto& e) { return std::string(e.what()) == "57"; });
    std::atomic<int> sum = 0;
    parallel_for(3, [&](std::int64_t i) { sum += int(i); });
    BOOST_TEST(sum == 3);
  }
}

BOOST_AUTO_TEST_CASE(the_exception_is_that_of_the_first_chunk_that_throws) {
  for (const int threads : {1, 2, 3, 5, 8}) {
    set_thread_count(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> ran = 0;
      BOOST_CHECK_EXCEPTION(parallel_for(1000,
                                         [&](std::int64_t i) {
                                           if (i < 20) ++ran;
                                           if (i >= 20 && i % 3 != 0) fail("chunk ", i);
                                         }),
                            Error, [](const Error& e) { return std::string(e.what()) == "chunk 20"; });
      BOOST_TEST_REQUIRE(ran == 20);
    }
  }
}

BOOST_AUTO_TEST_CASE(threads_that_went_to_sleep_come_back) {
  set_thread_count(3);
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> sum = 0;
    parallel_for(3, [&](std::int64_t) { ++sum; });
    BOOST_TEST(sum == 3);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

BOOST_AUTO_TEST_CASE(several_threads_may_call_at_once) {
  set_thread_count(2);
  std::atomic<int> sum = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) parallel_for(4, [&](std::int64_t) { ++sum; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  BOOST_TEST(sum == 4 * 50 * 4);
}

BOOST_AUTO_TEST_CASE(impossible_thread_counts_are_refused) {
  BOOST_CHECK_EXCEPTION(set_thread_count(0), Error, [](const Error& e) {
    return std::string(e.what()) == "the number of threads is 0, not from 1 to 1024";
  });
  BOOST_CHECK_THROW(set_thread_count(-2), Error);
  BOOST_CHECK_THROW(set_thread_count(1 << 20), Error);
  set_thread_count(2);
  BOOST_CHECK_THROW(parallel_for(4, [](std::int64_t) { set_thread_count(3); }), Error);
  BOOST_TEST(thread_count() == 2);
}

BOOST_AUTO_TEST_CASE(a_quota_rounds_up) {
  BOOST_TEST(detail::cpus_of_quota("max 100000") == 0);
  BOOST_TEST(detail::cpus_of_quota("") == 0);
  BOOST_TEST(detail::cpus_of_quota("100000 100000") == 1);
  BOOST_TEST(detail::cpus_of_quota("150000 100000") == 2);
  BOOST_TEST(detail::cpus_of_quota("1000 100000") == 1);
}

BOOST_AUTO_TEST_CASE(the_smallest_limit_of_the_control_groups_counts) {
  using Files = std::map<std::string, std::string>;
  const auto cpus = [](const Files& files) {
    return detail::cpus_of_groups([&](const std::string& path) {
      const auto found = files.find(path);
      return found == files.end() ? std::string() : found->second;
    });
  };
  BOOST_TEST(cpus({}) == 0);
  BOOST_TEST(cpus({{"/proc/self/cgroup", "nonsense\n0::x\n::\n"}}) == 0);
  // Version 2: a container sees itself as the root, a service its own and the slice's limit.
  BOOST_TEST(cpus({{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "250000 100000\n"}}) == 3);
  Files service{{"/proc/self/cgroup", "0::/a.slice/b.service\n"},
                {"/sys/fs/cgroup/a.slice/b.service/cpu.max", "max 100000\n"},
                {"/sys/fs/cgroup/a.slice/cpu.max", "400000 100000\n"}};
  BOOST_TEST(cpus(service) == 4);
  service["/sys/fs/cgroup/a.slice/b.service/cpu.max"] = "150000 100000\n";
  BOOST_TEST(cpus(service) == 2);
  // Version 1: only the cpu controller's line counts, wherever it is mounted; -1 is no limit.
  Files old{{"/proc/self/cgroup", "9:cpuset:/x\n4:cpu,cpuacct:/docker/1f\n2:cpuacct:/y\n0::/z\n"},
            {"/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us", "-1\n"},
            {"/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_period_us", "100000\n"},
            {"/sys/fs/cgroup/cpuset/x/cpu.cfs_quota_us", "100000\n"},
            {"/sys/fs/cgroup/cpuset/x/cpu.cfs_period_us", "100000\n"}};
  BOOST_TEST(cpus(old) == 0);
  old["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "350000\n";  // as seen from within the container
  old["/sys/fs/cgroup/cpu/cpu.cfs_period_us"] = "100000\n";
  BOOST_TEST(cpus(old) == 4);
  old["/sys/fs/cgroup/cpu,cpuacct/docker/1f/cpu.cfs_quota_us"] = "50000\n";
  BOOST_TEST(cpus(old) == 1);
}

BOOST_AUTO_TEST_CASE(chunks_cover_the_range_and_respect_alignment) {
  for (const std::int64_t size : {0, 1, 15, 16, 17, 1000, 4097}) {
    for (const std::int64_t most : {1, 16, 100, 4096}) {
      for (const std::int64_t align : {1, 16}) {
        const Chunks chunks(size, most, align);
        std::int64_t at = 0;
        for (std::int64_t i = 0; i < chunks.count(); ++i) {
          BOOST_TEST_REQUIRE(chunks.begin(i) == at);
          BOOST_TEST_REQUIRE(chunks.begin(i) % align == 0);
          BOOST_TEST_REQUIRE(chunks.end(i) > at);
          at = chunks.end(i);
        }
        BOOST_TEST_REQUIRE(at == size);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_background_task_runs_beside_the_caller) {
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    BackgroundTask task;
    task.wait();  // nothing to wait for
    for (int round = 0; round < 20; ++round) {
      std::atomic<bool> go = false;
      int result = 0;
      task.start([&] {
        while (!go) std::this_thread::yield();
        std::atomic<int> sum = 0;
        parallel_for(10, [&](std::int64_t i) { sum += int(i); });
        result = sum;
      });
      parallel_for(4, [](std::int64_t) {});
      go = true;
      task.wait();
      BOOST_TEST_REQUIRE(result == 45);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_background_task_hands_back_its_exception_once) {
  BackgroundTask task;
  task.start([] { fail("no such file"); });
  BOOST_CHECK_THROW(task.wait(), Error);
  task.wait();
  task.start([] {});
  BOOST_CHECK_THROW(task.start([] {}), Error);
  task.wait();
  task.start([] { fail("dropped"); });
}

BOOST_AUTO_TEST_SUITE_END()
