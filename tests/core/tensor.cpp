#include <tapestry/core/tensor.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::thrown;

BOOST_AUTO_TEST_SUITE(tensor)

BOOST_AUTO_TEST_CASE(a_copy_behaves_as_a_value) {
  Tensor a = Tensor::from({1.0f, 2.0f}, {2});
  const Tensor b = a;
  a.mutable_values<float>()[0] = 9;
  BOOST_TEST(b.at(0) == 1);
  BOOST_TEST(a.at(0) == 9);
}

BOOST_AUTO_TEST_CASE(linspace_includes_both_ends) {
  const Tensor t = Tensor::linspace(-0.5, 0.5, {3, 4});
  BOOST_TEST(t.at(0) == -0.5);
  BOOST_TEST(t.at(11) == 0.5);
  BOOST_TEST(to_string(t.type()) == "f64 [3, 4]");
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_CHECK_EXCEPTION(Tensor::from({1.0, 2.0}, {3}), Error, [](const Error& e) {
    return std::string(e.what()) == "2 values can't fill a tensor of shape [3]";
  });
  BOOST_CHECK_THROW(Tensor(DType::f32, {2}).values<double>(), Error);
  BOOST_CHECK_THROW(Tensor(DType::f32, {-1}), Error);
  BOOST_CHECK_THROW((Tensor(DType::f32, {1 << 30, 1 << 30, 1 << 30})), Error);
}

BOOST_AUTO_TEST_CASE(what_no_memory_can_hold_is_refused) {
  // 2^61 elements of 8 bytes: 2^64, which wraps around to 0.
  BOOST_TEST(thrown([] { Tensor(DType::f64, {std::int64_t{1} << 61}); }) ==
             "a shape of [2305843009213693952] has more than 2^48 elements");
  BOOST_TEST(thrown([] { Tensor(DType::f64, {std::int64_t{1} << 48}); }) ==
             "not enough memory: 2251799813685248 bytes were asked for at once");
}

BOOST_AUTO_TEST_CASE(what_was_moved_from_has_no_elements) {
  Tensor a = Tensor::from({1.0, 2.0}, {2}), b = std::move(a);
  BOOST_TEST(to_string(a) == "f32 [0] {}");
  BOOST_TEST(identical(a, Tensor()));
  BOOST_CHECK_THROW(a.at(0), Error);
  a = std::move(b);
  BOOST_TEST(a.at(1) == 2);
  BOOST_TEST(b.elements() == 0);
  Tensor& same = a;
  a = std::move(same);
  BOOST_TEST(a.at(1) == 2);
}

BOOST_AUTO_TEST_CASE(bf16_rounds_to_nearest_even) {
  BOOST_TEST(float(bf16(1.0f + 1.0f / 256)) == 1.0f);
  BOOST_TEST(float(bf16(1.0f + 3.0f / 256)) == 1.0f + 4.0f / 256);
  BOOST_TEST(std::isnan(float(bf16(std::numeric_limits<float>::quiet_NaN()))));
  BOOST_TEST(float(bf16(std::numeric_limits<float>::max())) == std::numeric_limits<float>::infinity());
}

BOOST_AUTO_TEST_CASE(elements_start_a_cache_line_and_are_0) {
  const auto address = [](const Tensor& t) { return reinterpret_cast<std::uintptr_t>(t.data()); };
  for (const std::int64_t size : {0, 1, 1000, 3 << 20}) {
    const Tensor a(DType::f32, {size});
    BOOST_TEST(address(a) % 64 == 0u);
    BOOST_TEST(std::ranges::all_of(a.values<float>(), [](float v) { return v == 0; }));
  }
}

BOOST_AUTO_TEST_CASE(empty_and_scalar) {
  BOOST_TEST(Tensor(DType::i64, {0, 3}).elements() == 0);
  BOOST_TEST(Tensor::scalar(2.5).item() == 2.5);
  BOOST_TEST(Tensor::scalar(2.5).rank() == 0);
  BOOST_TEST((strides_of({2, 0, 3}) == Shape{3, 3, 1}));
}

BOOST_AUTO_TEST_SUITE_END()
