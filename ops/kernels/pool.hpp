// Pools of images [n, h, w, c]: the largest element or the mean of each window, channel by channel, and what
// derivatives need. f32, f64 and bf16; cut by images, so the number of threads changes no bit.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <cstdint>

namespace tapestry::kernels {

struct PoolShape {
  std::int64_t n, h, w, c;  // the images
  std::int64_t oh, ow;      // the results
  std::int64_t kh, kw, stride_h, stride_w, lo_h, lo_w, dilation_h, dilation_w;
};

/// The largest element, NaN if one is. A window has an element inside of the image.
void max_pool(const PoolShape& s, const ConstView& x, const View& y);
/// Which one it is: the number, in row-major order and counted with those outside, of the first of equals or
/// of the first NaN; u8 or i32.
void max_pool_index(const PoolShape& s, const ConstView& x, const View& index);
/// The elements with these numbers.
void pool_pick(const PoolShape& s, const ConstView& x, const ConstView& index, const View& y);
/// Its adjoint: images that are 0 but where such elements are; results that picked the same one add up.
void pool_put(const PoolShape& s, const ConstView& y, const ConstView& index, const View& x);

/// The sum over a window divided by its size, or, if `inside`, by the number of its elements inside of the
/// image.
void mean_pool(const PoolShape& s, bool inside, const ConstView& x, const View& y);
/// Its adjoint.
void mean_pool_images(const PoolShape& s, bool inside, const ConstView& y, const View& x);

}  // namespace tapestry::kernels
