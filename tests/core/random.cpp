#include <tapestry/core/error.hpp>
#include <tapestry/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace suites {  // apart from the C library's random()

BOOST_AUTO_TEST_SUITE(random)

// The known answers that the authors publish with their implementation (Random123, kat_vectors).
BOOST_AUTO_TEST_CASE(philox_gives_the_published_answers) {
  using Words = std::array<std::uint32_t, 4>;
  static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  static_assert(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
                Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  const Words pi = philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
  BOOST_TEST((pi == Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

BOOST_AUTO_TEST_CASE(words_become_numbers_below_one) {
  BOOST_TEST(unit_f32(0) == 0);
  BOOST_TEST(unit_f32(0xffffffff) == 1 - 0x1p-24f);
  BOOST_TEST(unit_f64(0xffffffff, 0xffffffff) == 1 - 0x1p-53);
  BOOST_TEST(unit_f64(0, 0x80000000) == 0.5);
}

BOOST_AUTO_TEST_CASE(a_sequence_is_a_function_of_seed_and_stream) {
  Random a(7, 3), b(7, 3), other_seed(8, 3), other_stream(7, 4);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t bits = a.bits();
    BOOST_TEST_REQUIRE(bits == b.bits());
    BOOST_TEST_REQUIRE(seen.insert(bits).second);
    BOOST_TEST_REQUIRE(seen.insert(other_seed.bits()).second);
    BOOST_TEST_REQUIRE(seen.insert(other_stream.bits()).second);
  }
}

BOOST_AUTO_TEST_CASE(derived_seeds_differ) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (std::uint64_t user = 0; user < 50; ++user)
      BOOST_TEST_REQUIRE(seen.insert(derive_seed(seed, user)).second);
  }
  BOOST_TEST(derive_seed(3, 4) == derive_seed(3, 4));
}

BOOST_AUTO_TEST_CASE(uniform_and_normal_have_their_moments) {
  constexpr int n = 200'000;
  Random random(42);
  double sum = 0, squares = 0, cubes = 0, fourths = 0, least = 1, most = 0;
  int beyond_two = 0;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform(), z = random.normal();
    least = std::min(least, u);
    most = std::max(most, u);
    sum += u;
    squares += z * z;
    cubes += z * z * z;
    fourths += z * z * z * z;
    beyond_two += std::abs(z) > 2;
  }
  // Each bound is about five standard errors.
  BOOST_TEST(least >= 0);
  BOOST_TEST(most < 1);
  BOOST_TEST(std::abs(sum / n - 0.5) < 0.0033);
  BOOST_TEST(std::abs(squares / n - 1) < 0.016);
  BOOST_TEST(std::abs(cubes / n) < 0.044);
  BOOST_TEST(std::abs(fourths / n - 3) < 0.11);
  BOOST_TEST(std::abs(beyond_two / double(n) - std::erfc(std::sqrt(2.0))) < 0.0024);
}

BOOST_AUTO_TEST_CASE(below_is_even) {
  Random random(1);
  std::vector<int> counts(6);
  for (int i = 0; i < 60'000; ++i) ++counts[std::size_t(random.below(6))];
  for (const int count : counts) BOOST_TEST(std::abs(count - 10'000) < 500);
  BOOST_TEST(random.below(1) == 0);
  for (int i = 0; i < 100; ++i) {
    const std::int64_t value = random.below(INT64_MAX);
    BOOST_TEST_REQUIRE((value >= 0 && value < INT64_MAX));
  }
  BOOST_CHECK_THROW(random.below(0), Error);
}

BOOST_AUTO_TEST_CASE(a_permutation_holds_each_index_once) {
  for (const std::int64_t n : {0, 1, 2, 1000}) {
    std::vector<std::int64_t> order = permutation(n, 5, 9);
    BOOST_TEST((order == permutation(n, 5, 9)));
    if (n == 1000) BOOST_TEST((order != permutation(n, 5, 10)));
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < n; ++i) BOOST_TEST_REQUIRE(order[std::size_t(i)] == i);
  }
  BOOST_CHECK_THROW(permutation(-1, 0), Error);
}

BOOST_AUTO_TEST_CASE(all_permutations_are_equally_likely) {
  std::map<std::vector<std::int64_t>, int> counts;
  for (std::uint64_t stream = 0; stream < 6000; ++stream) ++counts[permutation(3, 0, stream)];
  BOOST_TEST(counts.size() == 6u);
  for (const auto& [order, count] : counts) BOOST_TEST(std::abs(count - 1000) < 150);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace suites
