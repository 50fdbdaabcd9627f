#include <tapestry/core/language.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

BOOST_AUTO_TEST_SUITE(attrs)

BOOST_AUTO_TEST_CASE(constants_that_begin_alike_have_hashes_of_their_own) {
  const auto ones_from = [](std::int64_t first) {
    Tensor values(DType::f32, {10'000});
    for (std::int64_t i = first; i < 10'000; ++i) values.mutable_values<float>()[std::size_t(i)] = 1;
    return Attrs(ConstantAttrs{values});
  };
  BOOST_TEST(ones_from(5000).hash() == ones_from(5000).hash());
  BOOST_TEST((ones_from(5000) == ones_from(5000)));
  for (const std::int64_t first : {0, 100, 5500, 9999}) {
    BOOST_TEST(ones_from(5000).hash() != ones_from(first).hash());
    BOOST_TEST(!(ones_from(5000) == ones_from(first)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
