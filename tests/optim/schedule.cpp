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

BOOST_AUTO_TEST_SUITE_END()
