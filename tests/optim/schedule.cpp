#include <tapestry/core/error.hpp>
#include <tapestry/optim/schedule.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_AUTO_TEST_SUITE(schedule)

BOOST_AUTO_TEST_CASE(the_notebooks_decay_is_by_epoch) {
  const Schedule s = exponential_schedule(1e-3, 0.9, 490);
  BOOST_TEST(s(0) == 1e-3);
  BOOST_TEST(s(489) == 1e-3);
  BOOST_TEST(s(490) == 9e-4, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(s(4899) == 1e-3 * 0.387420489, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(others) {
  BOOST_TEST(constant_schedule(0.1)(1000) == 0.1);
  BOOST_TEST(linear_schedule(1, 100)(25) == 0.75);
  BOOST_TEST(linear_schedule(1, 100, 0.5)(1000) == 0.5);
  BOOST_TEST(cosine_schedule(1, 100)(50) == 0.5, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(cosine_schedule(1, 100, 0.1)(500) == 0.1, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(step_schedule(8, 0.5, 10)(29) == 2);
  const Schedule warm = warm_up(4, constant_schedule(1));
  BOOST_TEST(warm(0) == 0.25);
  BOOST_TEST(warm(3) == 1);
  BOOST_TEST(warm(9) == 1);
  BOOST_CHECK_THROW(linear_schedule(1, 0), Error);
  BOOST_CHECK_THROW(warm_up(0, constant_schedule(1)), Error);
}

BOOST_AUTO_TEST_CASE(a_warm_up_then_a_line_to_zero) {
  // Up to the rate in four steps, down to 0 in the eight after them.
  const Schedule s = warm_up_linear_schedule(2, 4, 11);
  const double expected[] = {0.5, 1, 1.5, 2, 1.75, 1.5, 1.25, 1, 0.75, 0.5, 0.25, 0, 0, 0};
  for (std::int64_t step = 0; step < std::int64_t(std::size(expected)); ++step)
    BOOST_TEST(s(step) == expected[step], "step " << step);
  BOOST_TEST(warm_up_linear_schedule(2, 4, 11, 1)(11) == 1);
  // A warm-up of one step is none; one of all steps ends with the rate.
  for (std::int64_t step = 0; step < 12; ++step)
    BOOST_TEST(warm_up_linear_schedule(3, 1, 10)(step) == linear_schedule(3, 10)(step));
  BOOST_TEST(warm_up_linear_schedule(3, 10, 10)(9) == 3);
  BOOST_TEST(warm_up_linear_schedule(3, 10, 10)(10) == 0);
  BOOST_CHECK_THROW(warm_up_linear_schedule(1, 0, 10), Error);
  BOOST_CHECK_THROW(warm_up_linear_schedule(1, 11, 10), Error);
  // The same scaling over the schedule itself, which goes on falling meanwhile.
  const Schedule scaled = warm_up(4, linear_schedule(1, 8));
  const double product[] = {0.25, 0.4375, 0.5625, 0.625, 0.5, 0.375, 0.25, 0.125, 0};
  for (std::int64_t step = 0; step < 9; ++step) BOOST_TEST(scaled(step) == product[step], "step " << step);
}

BOOST_AUTO_TEST_SUITE_END()
