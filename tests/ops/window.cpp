#include <tapestry/core/op.hpp>
#include <tapestry/ops/window.hpp>

#include <limits>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

std::int64_t places(std::int64_t image, std::int64_t size, std::int64_t stride, const Padding& padding,
                    std::int64_t dilation = 1) {
  return Window2d::over(image, size, stride, padding, dilation).places(image).h;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(window)

BOOST_AUTO_TEST_CASE(places_on_an_image) {
  BOOST_TEST(places(5, 3, 1, 0) == 3);
  BOOST_TEST(places(5, 3, 2, 0) == 2);
  BOOST_TEST(places(6, 3, 2, 0) == 2);  // the last column is left out
  BOOST_TEST(places(3, 3, 7, 0) == 1);
  BOOST_TEST(places(5, 3, 1, 0, 2) == 1);
  BOOST_TEST(places(1, 3, 1, 1) == 1);
}

BOOST_AUTO_TEST_CASE(same_gives_the_extent_over_the_stride_rounded_up) {
  for (std::int64_t image = 1; image < 12; ++image) {
    for (std::int64_t size = 1; size < 6; ++size) {
      for (std::int64_t stride = 1; stride < 5; ++stride) {
        for (const std::int64_t dilation : {1, 2}) {
          BOOST_TEST(places(image, size, stride, Padding::same, dilation) == (image + stride - 1) / stride);
          const Window2d w = Window2d::over(image, size, stride, Padding::same, dilation);
          BOOST_TEST(w.lo.h >= 0);
          BOOST_TEST((w.hi.h == w.lo.h || w.hi.h == w.lo.h + 1));
        }
      }
    }
  }
  BOOST_TEST(places(5, 3, 2, Padding::valid) == 2);
}

BOOST_AUTO_TEST_CASE(what_makes_no_sense_is_refused) {
  BOOST_CHECK_THROW(places(5, 0, 1, 0), TypeMismatch);
  BOOST_CHECK_THROW(places(5, 3, 0, 0), TypeMismatch);
  BOOST_CHECK_THROW(places(5, 3, 1, -1), TypeMismatch);
  BOOST_CHECK_THROW(places(5, 3, 1, 0, 0), TypeMismatch);
  BOOST_CHECK_THROW(places(2, 3, 1, 0), TypeMismatch);
  BOOST_TEST(places(2, 3, 1, Padding({1, 1}, 0)) == 1);
}

BOOST_AUTO_TEST_CASE(what_would_wrap_around_is_refused) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  BOOST_CHECK_THROW(places(5, most, 1, 0), TypeMismatch);
  BOOST_CHECK_THROW(places(5, 3, most, Padding::same), TypeMismatch);
  BOOST_CHECK_THROW(places(5, 3, 1, most / 2 + 9), TypeMismatch);
  BOOST_CHECK_THROW(places(5, 3, 1, 0, most), TypeMismatch);
}

BOOST_AUTO_TEST_SUITE_END()
