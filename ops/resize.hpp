// Images of another size. As everywhere in this field with `align_corners` off: pixels are squares, and the
// corners of the image stay where they are.
#pragma once

#include <tapestry/core/tape.hpp>
#include <tapestry/ops/window.hpp>

namespace tapestry {

class Registry;

enum class Interpolation : std::uint8_t {
  nearest,   // row i of n is row floor(i h / n)
  bilinear,  // row i of n lies at (i + 1/2) h / n - 1/2, between two rows or at the border
};

/// x [n, h, w, c] as [n, size.h, size.w, c]. A smaller image is made of the pixels at its pixels' places,
/// not of means: there is avg_pool2d for these. f32, f64 or bf16.
Var resize2d(const Operand& x, Extent2d size, Interpolation how = Interpolation::bilinear);
/// So many times as high and as wide.
Var upsample2d(const Operand& x, Extent2d times, Interpolation how = Interpolation::nearest);

void register_resize(Registry& registry);

}  // namespace tapestry
