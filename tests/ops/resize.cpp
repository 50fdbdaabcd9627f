#include <tapestry/ops/resize.hpp>
#include <tapestry/tests/support/graphs.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::f64;
using test::numbers;

BOOST_AUTO_TEST_SUITE(resize)

BOOST_AUTO_TEST_CASE(values) {
  Tape tape;
  const Var x = f64(tape, {1, 2, 2, 1}, {0, 4, 8, 12});
  BOOST_TEST(numbers(upsample2d(x, {1, 2})) == "0 0 4 4 8 8 12 12");
  BOOST_TEST(numbers(upsample2d(x, {2, 1})) == "0 4 0 4 8 12 8 12");
  BOOST_TEST(numbers(upsample2d(x, {1, 2}, Interpolation::bilinear)) == "0 1 3 4 8 9 11 12");
  BOOST_TEST(numbers(resize2d(x, {3, 1}, Interpolation::nearest)) == "0 0 8");
  BOOST_TEST(numbers(resize2d(x, {3, 1})) == "2 6 10");
  BOOST_TEST(numbers(resize2d(x, 1)) == "6");
  const Var channels = f64(tape, {1, 1, 2, 2}, {1, 10, 3, 30});
  BOOST_TEST(numbers(upsample2d(channels, {1, 2})) == "1 10 1 10 3 30 3 30");
}

BOOST_AUTO_TEST_CASE(constant_images_stay_so) {
  Tape tape;
  const Var x = tape.constant(Tensor::full<float>({2, 5, 3, 2}, 0.75f));
  for (const Interpolation how : {Interpolation::nearest, Interpolation::bilinear}) {
    std::string expected = "0.75";
    for (int i = 1; i < 2 * 7 * 4 * 2; ++i) expected += " 0.75";
    BOOST_TEST(numbers(resize2d(x, {7, 4}, how)) == expected);
  }
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const auto says = [&](const Type& type, Extent2d size, std::string_view what) {
    const std::string message = test::thrown([&] { resize2d(tape.input("x", type), size); });
    BOOST_TEST(message.find(what) != std::string::npos, message);
  };
  says({DType::f32, {2, 3, 3}}, 2, "resize2d: takes images [n, h, w, c], f32, f64 or bf16");
  says({DType::i32, {1, 2, 3, 3}}, 2, "takes images");
  says({DType::f32, {1, 2, 3, 3}}, {0, 2}, "an image can't become 0 x 2");
  says({DType::f32, {1, 0, 3, 3}}, 2, "there are no pixels");
  const std::string message = test::thrown([&] { upsample2d(tape.input("x", {DType::f32, {2, 3}}), 2); });
  BOOST_TEST(message.find("resize2d: takes images") != std::string::npos, message);
}

BOOST_AUTO_TEST_SUITE_END()
