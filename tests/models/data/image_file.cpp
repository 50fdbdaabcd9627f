#include <tapestry/core/io/input_file.hpp>
#include <tapestry/models/data/image_file.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// Red grows to the right, green downwards.
Tensor slope(std::int64_t height, std::int64_t width) {
  Tensor image(DType::u8, {height, width, 3});
  const auto pixels = image.mutable_values<std::uint8_t>();
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      std::uint8_t* pixel = &pixels[std::size_t((y * width + x) * 3)];
      pixel[0] = std::uint8_t(255 * x / std::max<std::int64_t>(width - 1, 1));
      pixel[1] = std::uint8_t(255 * y / std::max<std::int64_t>(height - 1, 1));
      pixel[2] = 77;
    }
  }
  return image;
}

std::string png_of(const Tensor& image) {
  const auto bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(image_file)

BOOST_AUTO_TEST_CASE(png_round_trip) {
  const TemporaryFolder folder;
  for (const Tensor& image : {slope(5, 9), slope(32, 32), slope(1, 1), slope(300, 200)}) {
    write_file(folder / "a.png", png_of(image));
    BOOST_TEST(identical(load_image(folder / "a.png"), image));
  }
}

BOOST_AUTO_TEST_CASE(ppm_and_pgm) {
  const TemporaryFolder folder;
  write_file(folder / "a.ppm", "P6\n# a comment\n2 1\n255\n\x01\x02\x03\x04\x05\x06");
  BOOST_TEST(
      identical(load_image(folder / "a.ppm"), Tensor::from<std::uint8_t>({1, 2, 3, 4, 5, 6}, {1, 2, 3})));
  write_file(folder / "a.pgm", "P5\n1 2\n255\n\x07\xff");
  BOOST_TEST(identical(load_image(folder / "a.pgm"),
                       Tensor::from<std::uint8_t>({7, 7, 7, 255, 255, 255}, {2, 1, 3})));
}

BOOST_AUTO_TEST_CASE(transparency_is_laid_on_white) {
  const TemporaryFolder folder;
  // An uncompressed 32-bit TGA: 18 bytes of header, then blue, green, red and opacity.
  std::string tga(18, '\0');
  tga[2] = 2, tga[12] = 3, tga[14] = 1, tga[16] = 32, tga[17] = 0x28;
  tga += std::string(
      "\x0a\x14\x1e\xff"
      "\x0a\x14\x1e\x00"
      "\x00\x00\x00\x80",
      12);
  write_file(folder / "a.tga", tga);
  BOOST_TEST(identical(load_image(folder / "a.tga"),
                       Tensor::from<std::uint8_t>({30, 20, 10, 255, 255, 255, 127, 127, 127}, {1, 3, 3})));
}

BOOST_AUTO_TEST_CASE(resizing) {
  const TemporaryFolder folder;
  write_file(folder / "a.png", png_of(slope(48, 96)));
  const Tensor image = load_image(folder / "a.png", 32, 32);
  BOOST_TEST((image.type() == Type{DType::u8, {32, 32, 3}}));
  const auto at = [&](std::int64_t y, std::int64_t x, std::int64_t c) {
    return image.at((y * 32 + x) * 3 + c);
  };
  for (std::int64_t i = 1; i < 31; ++i) {
    BOOST_TEST(std::abs(at(16, i, 0) - 255 * (double(i) + 0.5) / 32) < 4);
    BOOST_TEST(std::abs(at(i, 16, 1) - 255 * (double(i) + 0.5) / 32) < 4);
    BOOST_TEST(at(i, i, 2) == 77);
  }
  BOOST_TEST((resize_image(slope(2, 2), 5, 7).shape() == Shape{5, 7, 3}));
  BOOST_TEST((resize_image(slope(1, 1), 32, 32).at(2) == 77));
  BOOST_TEST(identical(resize_image(slope(32, 32), 32, 32), slope(32, 32)));
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_read) {
  const TemporaryFolder folder;
  const auto failure = [&](const char* name) {
    return thrown<IoError>([&] { load_image(folder / name, 32, 32); });
  };
  BOOST_TEST(failure("none.png") ==
             "can't read " + (folder / "none.png").string() + ": No such file or directory");
  const std::string prefix = "can't read " + (folder / "a.png").string() + " as a picture: ";
  for (const std::string content : {"", "This is a note, not a picture."}) {
    write_file(folder / "a.png", content);
    BOOST_TEST(failure("a.png").starts_with(prefix + "it is neither PNG, JPEG"), failure("a.png"));
  }
  const std::string whole = png_of(slope(50, 50));
  write_file(folder / "a.png", whole.substr(0, whole.size() / 2));
  BOOST_TEST(failure("a.png").starts_with(prefix + "it is damaged ("), failure("a.png"));
  write_file(folder / "a.png", "P6\n100000 100000\n255\n");
  BOOST_TEST(failure("a.png") == prefix + "it has 100000 x 100000 pixels, more than 67108864 in all");
}

BOOST_AUTO_TEST_CASE(damaged_anywhere_it_loads_or_is_an_io_error) {
  const TemporaryFolder folder;
  const std::string whole = png_of(slope(6, 5));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int change : {0, 1, 16, 255}) {  // 0: cut there
      std::string bytes = change ? whole : whole.substr(0, i);
      if (change) bytes[i] = char(bytes[i] ^ change);
      write_file(folder / "a.png", bytes);
      try {
        load_image(folder / "a.png");
      } catch (const IoError& e) {
        BOOST_TEST(printable(e.what()) == e.what());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(tensors_that_are_no_images) {
  BOOST_TEST(thrown([] {
               encode_png(Tensor(DType::f32, {2, 2, 3}));
             }) == "encode_png needs an image of u8 [height, width, 3], not f32 [2, 2, 3]");
  BOOST_CHECK_THROW(encode_png(Tensor(DType::u8, {2, 2, 4})), Error);
  BOOST_CHECK_THROW(encode_png(Tensor(DType::u8, {0, 2, 3})), Error);
  BOOST_CHECK_THROW(resize_image(Tensor(DType::u8, {2, 2}), 1, 1), Error);
  BOOST_TEST(thrown([] {
               resize_image(Tensor(DType::u8, {2, 2, 3}), 0, 4);
             }) == "resize_image: 0 x 4 pixels were asked for");
}

BOOST_AUTO_TEST_SUITE_END()
