// NumPy's .npy files, versions 1 and 2 (numpy.lib.format): a magic string, a header that is a Python dict,
// then the elements. Little-endian, row-major arrays of f32, f64, i32, i64, u8 and bool.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <filesystem>

namespace tapestry {

/// Throws IoError for a damaged file and for arrays that a Tensor can't hold: other dtypes, big-endian
/// elements, Fortran order, more than 8 axes.
Tensor load_npy(const std::filesystem::path& path);

/// Replaces the file atomically. bf16 is refused: NumPy has no such type.
void save_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace tapestry
