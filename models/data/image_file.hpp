// Pictures in files, through the stb libraries (github.com/nothings/stb).
#pragma once

#include <tapestry/core/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace tapestry {

/// A PNG, JPEG, PPM, PGM, BMP, GIF or TGA file as u8 [height, width, 3]: grey becomes colour, transparency is
/// laid on white. Throws an IoError that names the file if it is missing, damaged, of another kind, or has
/// more than 2^26 pixels.
Tensor load_image(const std::filesystem::path& path);
/// The same, resized.
Tensor load_image(const std::filesystem::path& path, std::int64_t height, std::int64_t width);

/// u8 [h, w, 3] to u8 [height, width, 3], filtered; the sides' ratio is not kept. An image of that size
/// already is returned as it is.
Tensor resize_image(const Tensor& image, std::int64_t height, std::int64_t width);

/// u8 [height, width, 3] as the content of a PNG file.
std::vector<std::byte> encode_png(const Tensor& image);

}  // namespace tapestry
