#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/machine_limits.hpp>

#include <chrono>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::kernels;

BOOST_AUTO_TEST_SUITE(machine_limits)

BOOST_AUTO_TEST_CASE(a_short_measurement_gives_plausible_rates) {
  const auto start = std::chrono::steady_clock::now();
  const MachineLimits limits = measure_machine({.seconds = 0.01, .bytes = 1 << 20});
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  BOOST_TEST(limits.threads == thread_count());
  // Any machine that can run this, under sanitizers and beside other work, and none that there is.
  BOOST_TEST(limits.flops_per_second > 1e6);
  BOOST_TEST(limits.flops_per_second < 1e15);
  BOOST_TEST(limits.bytes_per_second > 1e6);
  BOOST_TEST(limits.bytes_per_second < 1e14);
  BOOST_TEST(taken.count() < 10);
}

BOOST_AUTO_TEST_CASE(the_least_there_is_to_move) {
  const MachineLimits limits = measure_machine({.seconds = 0, .bytes = 1000});
  BOOST_TEST(limits.bytes_per_second > 0);
  BOOST_CHECK_THROW(measure_machine({.seconds = 0, .bytes = 999}), Error);
}

BOOST_AUTO_TEST_CASE(time_of_work_is_that_of_its_parts) {
  const MachineLimits limits{1, 200, 50};
  BOOST_TEST(limits.seconds(100, 0) == 0.5);
  BOOST_TEST(limits.seconds(0, 100) == 2);
  BOOST_TEST(limits.seconds(100, 100) == 2.5);
}

BOOST_AUTO_TEST_SUITE_END()
