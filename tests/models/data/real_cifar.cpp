// What only the real data can show. CIFAR10_DIR names it, a folder or the archive; without it these are
// skipped.
#include <tapestry/models/data/cifar10.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
namespace utf = boost::unit_test;

namespace {

const char* data_path() { return std::getenv("CIFAR10_DIR"); }

boost::test_tools::assertion_result is_there(utf::test_unit_id) {
  boost::test_tools::assertion_result result(data_path() != nullptr);
  result.message() << "CIFAR10_DIR is not set";
  return result;
}

const Cifar10& data() {
  static const Cifar10 loaded = load_cifar10(data_path());
  return loaded;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(real_cifar, *utf::precondition(is_there))

BOOST_AUTO_TEST_CASE(it_is_the_real_one) {
  BOOST_TEST(!data().synthetic);
  BOOST_TEST(data().train.size() == 50'000);
  BOOST_TEST(data().test.size() == 10'000);
  BOOST_TEST(data().class_names[0] == "airplane");
  BOOST_TEST(data().class_names[9] == "truck");
  for (const ImageSet* set : {&data().train, &data().test}) {
    std::array<std::int64_t, 10> count{};
    for (const std::int64_t label : set->labels()) ++count[std::size_t(label)];
    BOOST_TEST(std::ranges::all_of(count, [&](std::int64_t n) { return n == set->size() / 10; }));
  }
}

// The first labels, and the corner pixels of the first training image, as they are widely shown: a brown
// frog.
BOOST_AUTO_TEST_CASE(the_first_images_are_the_known_ones) {
  constexpr std::array<std::int64_t, 10> train = {6, 9, 9, 4, 1, 1, 2, 7, 8, 3};
  constexpr std::array<std::int64_t, 10> test = {3, 8, 8, 0, 6, 6, 1, 6, 3, 1};
  BOOST_TEST(std::ranges::equal(data().train.labels().first(10), train));
  BOOST_TEST(std::ranges::equal(data().test.labels().first(10), test));
  const auto frog = data().train.image(0);
  BOOST_TEST((std::array{frog[0], frog[1], frog[2]} == std::array<std::uint8_t, 3>{59, 62, 63}));
  BOOST_TEST((std::array{frog[3069], frog[3070], frog[3071]} == std::array<std::uint8_t, 3>{123, 92, 72}));
}

// The first elements of the mean image as CS231n's notebooks print them. The tolerance leaves room for copies
// of the data whose images stand in another order, so that a few others are among the 49,000.
BOOST_AUTO_TEST_CASE(the_split_has_the_known_sizes_and_mean) {
  const Cifar10Split split = split_cifar10(data());
  BOOST_TEST(split.training.size() == 49'000);
  BOOST_TEST(split.validation.size() == 1'000);
  BOOST_TEST(split.test.size() == 1'000);
  BOOST_TEST(split.test_all.size() == 10'000);
  const std::array<double, 3> known = {130.64189796, 135.98173469, 132.47391837};
  for (int k = 0; k < 3; ++k) {
    BOOST_TEST(split.mean.at(k) == known[std::size_t(k)], boost::test_tools::tolerance(1e-3));
  }
}

BOOST_AUTO_TEST_SUITE_END()
