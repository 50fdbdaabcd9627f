#include <tapestry/core/io/input_file.hpp>
#include <tapestry/models/data/image_file.hpp>

#include <memory>
#include <string>

#include <stb_image.h>
#include <stb_image_resize.h>
#include <stb_image_write.h>

namespace tapestry {
namespace {

constexpr std::int64_t kMostPixels = std::int64_t{1} << 26;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 30;

template <class... Parts>
[[noreturn]] void bad(const std::filesystem::path& path, const Parts&... parts) {
  throw IoError(text("can't read ", path.string(), " as a picture: ", printable(text(parts...))));
}

void check_image(const char* what, const Tensor& image) {
  require(image.dtype() == DType::u8 && image.rank() == 3 && image.shape()[2] == 3 && image.elements() > 0 &&
              image.elements() / 3 <= kMostPixels,
          what, " needs an image of u8 [height, width, 3], not ", image.type());
}

/// `count` pixels of red, green, blue and opacity, seen on a white ground.
void lay_on_white(const std::uint8_t* rgba, std::uint8_t* rgb, std::int64_t count) {
  for (; count > 0; --count, rgba += 4, rgb += 3) {
    const int opacity = rgba[3];
    for (int c = 0; c < 3; ++c)
      rgb[c] = std::uint8_t((rgba[c] * opacity + 255 * (255 - opacity) + 127) / 255);
  }
}

}  // namespace

Tensor load_image(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > kMostFileBytes) bad(path, "it has ", file.size(), " bytes, more than ", kMostFileBytes);
  std::vector<std::byte> content(file.size());
  file.read(0, content);
  const auto* bytes = reinterpret_cast<const stbi_uc*>(content.data());

  int width = 0, height = 0, channels = 0;
  if (stbi_info_from_memory(bytes, int(content.size()), &width, &height, &channels) == 0) {
    bad(path, "it is neither PNG, JPEG, PPM, PGM, BMP, GIF nor TGA (", stbi_failure_reason(), ")");
  }
  if (width <= 0 || height <= 0) bad(path, "it is ", width, " pixels wide and ", height, " high");
  const std::int64_t pixels = std::int64_t{width} * height;
  if (pixels > kMostPixels) {
    bad(path, "it has ", width, " x ", height, " pixels, more than ", kMostPixels, " in all");
  }
  const int wanted = channels == 2 || channels == 4 ? 4 : 3;
  const std::unique_ptr<stbi_uc, void (*)(void*)> decoded(
      stbi_load_from_memory(bytes, int(content.size()), &width, &height, &channels, wanted), stbi_image_free);
  if (!decoded) bad(path, "it is damaged (", stbi_failure_reason(), ")");
  require(std::int64_t{width} * height == pixels, "stb_image changed its mind about the size of ",
          path.string());

  Tensor image(DType::u8, {height, width, 3});
  std::uint8_t* out = image.mutable_values<std::uint8_t>().data();
  if (wanted == 4) {
    lay_on_white(decoded.get(), out, pixels);
  } else {
    std::memcpy(out, decoded.get(), image.bytes());
  }
  return image;
}

Tensor load_image(const std::filesystem::path& path, std::int64_t height, std::int64_t width) {
  return resize_image(load_image(path), height, width);
}

Tensor resize_image(const Tensor& image, std::int64_t height, std::int64_t width) {
  check_image("resize_image", image);
  require(height > 0 && width > 0 && height <= kMostPixels && width <= kMostPixels &&
              height * width <= kMostPixels,
          "resize_image: ", height, " x ", width, " pixels were asked for");
  const Shape shape{height, width, 3};
  if (image.shape() == shape) return image;
  Tensor out(DType::u8, shape);
  const int done =
      stbir_resize_uint8(image.values<std::uint8_t>().data(), int(image.shape()[1]), int(image.shape()[0]), 0,
                         out.mutable_values<std::uint8_t>().data(), int(width), int(height), 0, 3);
  require(done != 0, "resize_image: no memory to resize ", image.shape(), " to ", shape);
  return out;
}

std::vector<std::byte> encode_png(const Tensor& image) {
  check_image("encode_png", image);
  std::vector<std::byte> png;
  const auto append = [](void* to, void* bytes, int count) noexcept {
    const auto* first = static_cast<const std::byte*>(bytes);
    static_cast<std::vector<std::byte>*>(to)->assign(first, first + count);
  };
  const int width = int(image.shape()[1]);
  const int done = stbi_write_png_to_func(append, &png, width, int(image.shape()[0]), 3,
                                          image.values<std::uint8_t>().data(), 3 * width);
  require(done != 0, "encode_png: no memory to encode ", image.type());
  return png;
}

}  // namespace tapestry
