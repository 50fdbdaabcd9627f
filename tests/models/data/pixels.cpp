#include <tapestry/core/random.hpp>
#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/data/pixels.hpp>
#include <tapestry/tests/support/naive_pixels.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

std::vector<std::uint8_t> noise(const Shape& shape, std::uint64_t seed = 1) {
  Random random(seed);
  std::vector<std::uint8_t> out(std::size_t(shape.elements()));
  for (std::uint8_t& byte : out) byte = std::uint8_t(random.below(256));
  return out;
}

/// With a mean of its own at each pixel and a factor for each channel.
PixelScale uneven(const Shape& shape) {
  PixelScale out;
  out.mean = Tensor::linspace(3, 250, shape, DType::f32);
  if (shape[2] > 0) out.scale = Tensor::linspace(0.25, 1.7, {shape[2]}, DType::f32);
  return out;
}

std::vector<float> placed(const Shape& shape, std::span<const std::uint8_t> image,
                          const ImagePlacement& placement, const PixelScale& scale = {}) {
  const PixelWriter writer(shape, scale);
  const PixelMap map(shape, placement);
  std::vector<float> out(image.size() + 2, -7.0f);  // a guard at each end
  writer.write(image, map, out.data() + 1);
  BOOST_TEST(out.front() == -7.0f);
  BOOST_TEST(out.back() == -7.0f);
  return {out.begin() + 1, out.end() - 1};
}

/// One row of four pixels, one channel.
std::vector<float> row(const ImagePlacement& placement) {
  return placed({1, 4, 1}, std::vector<std::uint8_t>{1, 2, 3, 4}, placement);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pixels)

BOOST_AUTO_TEST_CASE(by_hand) {
  const auto is = [](const ImagePlacement& placement, const std::vector<float>& expected) {
    BOOST_TEST(row(placement) == expected, boost::test_tools::per_element());
  };
  is({}, {1, 2, 3, 4});
  is({.flip = true}, {4, 3, 2, 1});
  is({.dx = 1}, {2, 1, 2, 3});
  is({.dx = -2}, {3, 4, 3, 2});
  is({.flip = true, .dx = 1}, {3, 4, 3, 2});
  is({.dx = 1, .border = Border::zero}, {0, 1, 2, 3});
  is({.flip = true, .dx = -3, .border = Border::zero}, {1, 0, 0, 0});
  is({.dx = 4, .border = Border::zero}, {0, 0, 0, 0});
  is({.dy = 1, .border = Border::zero}, {0, 0, 0, 0});
  is({.dy = 5}, {1, 2, 3, 4});                       // the only row is its own reflection
  is({.dx = 6}, {1, 2, 3, 4});                       // and so is any row after 2(n - 1)
  is({.dx = 1, .cut = {0, 2, 1, 3}}, {2, 1, 0, 3});  // cut at last
  is({.cut = {-3, -1, 9, 2}}, {0, 0, 3, 4});
  is({.cut = {1, 0, 2, 4}}, {1, 2, 3, 4});  // below the image
  is({.cut = {0, 3, 1, 3}}, {1, 2, 3, 4});  // empty
  is({.cut = {0, 7, 1, 9}}, {1, 2, 3, 4});
}

BOOST_AUTO_TEST_CASE(every_placement_of_images_of_many_shapes) {
  const Shape shapes[] = {{1, 1, 3}, {1, 5, 3}, {5, 1, 3},   {4, 6, 3},  {7, 5, 1},
                          {3, 4, 2}, {2, 3, 7}, {3, 200, 3}, {2, 3, 200}};
  for (const Shape& shape : shapes) {
    const std::vector<std::uint8_t> image = noise(shape);
    const PixelScale scale = uneven(shape);
    for (const Border border : {Border::reflect, Border::zero}) {
      for (const std::int64_t dy : {-8, -2, -1, 0, 1, 3}) {
        for (const std::int64_t dx : {-9, -2, 0, 1, 2, 7}) {
          for (const bool flip : {false, true}) {
            for (const Box& cut : {Box{}, Box{-1, 1, 2, 3}, Box{0, 0, 100, 1000}}) {
              const ImagePlacement placement{flip, dy, dx, border, cut};
              const auto got = placed(shape, image, placement, scale);
              if (got == naive_placed(shape, image, placement, scale)) continue;
              BOOST_ERROR(shape << " dy " << dy << " dx " << dx << " flip " << flip << " border "
                                << int(border) << " cut to " << cut.bottom);
            }
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_map_is_set_again) {
  const Shape shape{6, 5, 3};
  const std::vector<std::uint8_t> image = noise(shape);
  const PixelWriter writer(shape, uneven(shape));
  PixelMap map(shape);
  for (const ImagePlacement& placement :
       {ImagePlacement{.dx = 3, .border = Border::zero, .cut = {1, 1, 3, 3}}, ImagePlacement{.flip = true},
        ImagePlacement{.dy = -1, .dx = -2, .border = Border::zero}, ImagePlacement{}}) {
    map.set(placement);
    std::vector<float> out(image.size());
    writer.write(image, map, out.data());
    BOOST_TEST(out == naive_placed(shape, image, placement, uneven(shape)), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(as_it_is) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{32, 32, 3}, Shape{2, 300, 3}, Shape{0, 3, 3}}) {
    const std::vector<std::uint8_t> image = noise(shape);
    for (const PixelScale& scale : {PixelScale(), PixelScale(uneven(shape).mean), uneven(shape)}) {
      std::vector<float> out(image.size());
      PixelWriter(shape, scale).write(image, out.data());
      BOOST_TEST(out == naive_placed(shape, image, {}, scale), boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(channels_are_normalized) {
  const Shape shape{2, 2, 3};
  const std::vector<std::uint8_t> image{0, 1, 2, 50, 100, 125, 126, 200, 250, 253, 254, 255};
  const PixelScale scale = normalized_channels(shape, kCifar10ChannelMeans, kCifar10ChannelDeviations);
  const auto out = placed(shape, image, {}, scale);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double expected =
        (image[i] / 255.0 - kCifar10ChannelMeans[i % 3]) / kCifar10ChannelDeviations[i % 3];
    BOOST_TEST(std::abs(out[i] - expected) < 4e-7, i << ": " << out[i] << " is not " << expected);
  }
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  const std::vector<double> two{0.5, 0.5}, three{0.5, 0.5, 0.5}, bad{1, 0, 1};
  BOOST_TEST(thrown([&] {
               normalized_channels({4, 4, 3}, two, three);
             }) == "images [4, 4, 3] have 3 channels, but there are 2 means and 3 deviations");
  BOOST_TEST(thrown([&] {
               normalized_channels({4, 4, 3}, three, bad);
             }) == "the deviation of channel 1 must be positive, not 0");
  BOOST_TEST(thrown([&] {
               normalized_channels({4, 4}, two, two);
             }) == "images are [height, width, channels], not [4, 4]");
  PixelScale scale;
  scale.scale = Tensor(DType::f32, {2});
  BOOST_TEST(thrown([&] {
               PixelWriter({4, 4, 3}, scale);
             }) == "pixels are scaled by f32 [2], but the images are [4, 4, 3]");
  BOOST_TEST(thrown([&] {
               PixelWriter({4, 4, 3}, PixelScale(Tensor(DType::f32, {4, 4, 1})));
             }) == "the mean image is f32 [4, 4, 1], but the images are [4, 4, 3]");
  BOOST_TEST(thrown([&] {
               PixelWriter({1, 1, 385}, {});
             }) == "images are [height, width, channels] with at most 384 channels, not [1, 1, 385]");
}

BOOST_AUTO_TEST_SUITE_END()
