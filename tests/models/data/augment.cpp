#include <tapestry/models/data/augment.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <map>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

const Shape kShape{32, 32, 3};
constexpr std::int64_t kImages = 4000;

ImagePlacement placed(const Augmentation& augment, std::int64_t epoch, std::int64_t image) {
  return place(augment, kShape, 7, epoch, image);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(augment)

BOOST_AUTO_TEST_CASE(nothing_by_default) {
  for (std::int64_t i = 0; i < 100; ++i) BOOST_TEST((placed({}, 3, i) == ImagePlacement{}));
}

BOOST_AUTO_TEST_CASE(random_flips_are_drawn_anew_each_epoch) {
  int flipped = 0, changed = 0;
  for (std::int64_t i = 0; i < kImages; ++i) {
    const bool now = placed({.flip = Flip::random}, 0, i).flip;
    flipped += now;
    changed += now != placed({.flip = Flip::random}, 1, i).flip;
  }
  // 2000 expected, deviation 32
  BOOST_TEST((flipped > 1840 && flipped < 2160), flipped);
  BOOST_TEST((changed > 1840 && changed < 2160), changed);
}

BOOST_AUTO_TEST_CASE(alternating_flips_show_the_other_one_each_epoch) {
  const Augmentation alternating{.flip = Flip::alternating};
  int flipped = 0;
  for (std::int64_t i = 0; i < kImages; ++i) {
    const bool first = placed(alternating, 0, i).flip;
    flipped += first;
    for (std::int64_t epoch = 1; epoch < 6; ++epoch) {
      BOOST_REQUIRE(placed(alternating, epoch, i).flip == (epoch % 2 == 0 ? first : !first));
    }
  }
  BOOST_TEST((flipped > 1840 && flipped < 2160), flipped);
}

BOOST_AUTO_TEST_CASE(moves_are_equally_likely) {
  std::map<std::pair<std::int64_t, std::int64_t>, int> seen;
  for (std::int64_t i = 0; i < kImages; ++i) {
    const ImagePlacement p = placed({.translate = 2, .border = Border::zero}, 5, i);
    BOOST_TEST((p.border == Border::zero));
    ++seen[{p.dy, p.dx}];
  }
  BOOST_TEST(seen.size() == 25u);
  for (const auto& [move, count] : seen) {
    const auto [dy, dx] = move;
    BOOST_TEST((std::abs(dy) <= 2 && std::abs(dx) <= 2));
    BOOST_TEST((count > 98 && count < 222), dy << ' ' << dx << ": " << count);  // 160, deviation 12.4
  }
}

BOOST_AUTO_TEST_CASE(cutout_is_centred_on_any_pixel) {
  for (const std::int64_t size : {1, 8, 7, 100}) {
    std::map<std::int64_t, int> rows, columns;
    for (std::int64_t i = 0; i < kImages; ++i) {
      const Box cut = placed({.cutout = size}, 0, i).cut;
      BOOST_REQUIRE(cut.bottom - cut.top == size);
      BOOST_REQUIRE(cut.right - cut.left == size);
      ++rows[cut.top + size / 2];
      ++columns[cut.left + size / 2];
    }
    for (const auto& centres : {rows, columns}) {
      BOOST_TEST(centres.size() == 32u);
      BOOST_TEST(centres.begin()->first == 0);
      BOOST_TEST(centres.rbegin()->first == 31);
      for (const auto& [centre, count] : centres) BOOST_TEST((count > 70 && count < 180));  // 125, 11
    }
  }
}

BOOST_AUTO_TEST_CASE(options_do_not_disturb_each_other) {
  const Augmentation all{Flip::random, 3, Border::reflect, 8};
  for (std::int64_t i = 0; i < 200; ++i) {
    const ImagePlacement p = placed(all, 2, i);
    BOOST_TEST(p.flip == placed({.flip = Flip::random}, 2, i).flip);
    BOOST_TEST(p.dy == placed({.translate = 3}, 2, i).dy);
    BOOST_TEST((p.cut == placed({.cutout = 8}, 2, i).cut));
  }
}

BOOST_AUTO_TEST_CASE(seed_epoch_and_image_decide) {
  const Augmentation all{Flip::random, 8, Border::reflect, 8};
  const auto same = [&](std::uint64_t seed, std::int64_t epoch, std::int64_t shift) {
    int count = 0;
    for (std::int64_t i = 0; i < 500; ++i)
      count += place(all, kShape, seed, epoch, i + shift) == placed(all, 2, i);
    return count;
  };
  BOOST_TEST(same(7, 2, 0) == 500);
  BOOST_TEST(same(8, 2, 0) < 5);
  BOOST_TEST(same(7, 3, 0) < 5);
  BOOST_TEST(same(7, 2, 1) < 5);
}

BOOST_AUTO_TEST_CASE(one_pixel) {
  for (std::int64_t i = 0; i < 20; ++i) {
    const ImagePlacement p = place({Flip::random, 2, Border::reflect, 4}, {1, 1, 3}, 0, 0, i);
    BOOST_TEST((p.cut == Box{-2, -2, 2, 2}));
  }
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_TEST(thrown([] { check_augmentation({.translate = -1}); }) ==
             "images can't be moved by up to -1 pixels");
  BOOST_TEST(thrown([] { check_augmentation({.cutout = -8}); }) ==
             "a square of -8 pixels can't be cut out of images");
  BOOST_CHECK_THROW(check_augmentation({.translate = std::int64_t{1} << 60}), Error);
  check_augmentation({});
}

BOOST_AUTO_TEST_SUITE_END()
