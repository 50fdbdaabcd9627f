#include "../support/use_onednn.hpp"

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_AUTO_TEST_SUITE(onednn)

BOOST_AUTO_TEST_CASE(it_can_be_switched_off_and_on) {
  const bool before = kernels::onednn_in_use();
  {
    const UseOneDnn without(false);
    BOOST_TEST(!kernels::onednn_in_use());
    const UseOneDnn with(true);
    BOOST_TEST(kernels::onednn_in_use() == kernels::has_onednn());
  }
  BOOST_TEST(kernels::onednn_in_use() == before);
}

BOOST_AUTO_TEST_SUITE_END()
