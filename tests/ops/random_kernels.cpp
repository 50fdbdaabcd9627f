#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/random.hpp>
#include <tapestry/tests/support/restore_threads.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <hwy/targets.h>

using namespace tapestry;
using kernels::RandomKey;

namespace {

Tensor uniform(const RandomKey& key, DType dtype, std::int64_t n) {
  Tensor y(dtype, {n});
  kernels::random_uniform(key, y.mutable_view());
  return y;
}

const std::vector<RandomKey> keys{{0, 0}, {1, 0}, {0, 1}, {-1, -1}, {0x123456789abcdef, 1ll << 40}};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(random_kernels, test::RestoreThreads)

BOOST_AUTO_TEST_CASE(each_element_is_a_function_of_key_and_position) {
  for (const RandomKey& key : keys) {
    for (const std::int64_t n : {0, 1, 2, 3, 4, 5, 63, 64, 65, 1000, 100'003}) {
      const auto seed = std::uint64_t(key[0]), step = std::uint64_t(key[1]);
      const Tensor f32 = uniform(key, DType::f32, n), f64 = uniform(key, DType::f64, n);
      Random random(seed, step);
      bool same = true;
      for (std::int64_t i = 0; i < n; ++i) {
        const auto words = philox4x32({low_word(std::uint64_t(i / 4)), 0, low_word(step), high_word(step)},
                                      {low_word(seed), high_word(seed)});
        same &= f32.values<float>()[std::size_t(i)] == unit_f32(words[std::size_t(i % 4)]);
        same &= f64.values<double>()[std::size_t(i)] == random.uniform();
      }
      BOOST_TEST(same, "seed " << key[0] << ", step " << key[1] << ", " << n << " elements");
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    set_thread_count(1);
    const Tensor one = uniform({5, 6}, dtype, 200'001);
    for (const int threads : {2, 3, 5, 8}) {
      set_thread_count(threads);
      BOOST_TEST(identical(uniform({5, 6}, dtype, 200'001), one));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_instruction_set_changes_no_bit) {
  const auto use = [](std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  const std::int64_t all = hwy::SupportedTargets();
  const Tensor f32 = uniform({5, 6}, DType::f32, 1003), f64 = uniform({5, 6}, DType::f64, 1003);
  for (std::int64_t left = all; left != 0; left &= left - 1) {
    use(left & -left);
    BOOST_TEST(identical(uniform({5, 6}, DType::f32, 1003), f32));
    BOOST_TEST(identical(uniform({5, 6}, DType::f64, 1003), f64));
  }
  use(0);
}

BOOST_AUTO_TEST_CASE(asking_for_memory_meanwhile_changes_no_bit) {
  const Tensor all = uniform({5, 6}, DType::f32, 1003);
  const std::vector<float> memory(1000);
  std::vector<float> part(1000);
  kernels::random_uniform({5, 6}, 3, part, memory.data());
  BOOST_TEST(std::ranges::equal(part, all.values<float>().subspan(3)));
}

BOOST_AUTO_TEST_CASE(numbers_are_even_over_the_unit_interval) {
  constexpr std::int64_t n = 1'000'000;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor y = uniform({7, 8}, dtype, n);
    std::vector<double> counts(100);
    double products = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double u = y.at(i);
      BOOST_TEST_REQUIRE((u >= 0 && u < 1));
      ++counts[std::size_t(u * 100)];
      if (i > 0) products += (u - 0.5) * (y.at(i - 1) - 0.5);
    }
    double chi2 = 0;
    for (const double count : counts) chi2 += (count - n / 100) * (count - n / 100) / (n / 100);
    BOOST_TEST(chi2 > 50);  // 99 degrees of freedom: mean 99, standard deviation 14
    BOOST_TEST(chi2 < 170);
    BOOST_TEST(std::abs(products / n * 12) < 0.005);  // the correlation of neighbours
  }
}

BOOST_AUTO_TEST_CASE(permutations_are_those_of_the_host) {
  for (const std::int64_t n : {0, 1, 5, 1000}) {
    Tensor y(DType::i64, {n});
    kernels::random_permutation({9, 4}, y.mutable_view());
    BOOST_TEST(identical(y, Tensor::from(permutation(n, 9, 4), {n})));
  }
}

BOOST_AUTO_TEST_CASE(other_dtypes_are_refused) {
  BOOST_CHECK_THROW(uniform({0, 0}, DType::i32, 3), Error);
  Tensor y(DType::i32, {3});
  BOOST_CHECK_THROW(kernels::random_permutation({0, 0}, y.mutable_view()), Error);
}

BOOST_AUTO_TEST_SUITE_END()
