// Convolutions of images, channels last. (As everywhere in this field they are correlations: the filters are
// not reversed.)
#pragma once

#include <tapestry/core/tape.hpp>
#include <tapestry/ops/window.hpp>

namespace tapestry {

class Registry;

struct Conv2dOptions {
  Extent2d stride = 1;
  Padding padding = 0;
  Extent2d dilation = 1;
  /// Channels are cut into so many groups and each is convolved by itself; as many as there are channels make
  /// a depthwise convolution.
  std::int64_t groups = 1;
};

/// x [n, h, w, cin] by filters [kh, kw, cin / groups, cout] is [n, oh, ow, cout], where oh = (h + padding -
/// ((kh - 1) dilation + 1)) / stride + 1, rounded down, and ow likewise. f32, f64, or bf16, whose products
/// are added up in f32.
Var conv2d(const Operand& x, const Operand& filters, const Conv2dOptions& options = {});

struct ConvTranspose2dOptions {
  Extent2d stride = 1;
  /// Cut off from the result, on each side.
  Padding padding = 0;
  Extent2d dilation = 1;
  std::int64_t groups = 1;
  /// Rows and columns that are added below and to the right: fewer than the stride.
  Extent2d output_padding = 0;
};

/// The adjoint of conv2d in its images, as an op that makes images larger: x [n, h, w, cin] by filters [kh,
/// kw, cout / groups, cin] is [n, oh, ow, cout] with oh = (h - 1) stride + (kh - 1) dilation + 1 - padding +
/// output_padding. With `Padding::same` it is h stride.
Var conv_transpose2d(const Operand& x, const Operand& filters, const ConvTranspose2dOptions& options = {});

/// The adjoint of conv2d in its filters: images [n, h, w, cin] and what is to be their convolution's gradient
/// [n, oh, ow, cout] give filters [size.h, size.w, cin / groups, cout]. Derivatives of conv2d and
/// conv_transpose2d use it.
Var conv2d_filters(const Operand& images, const Operand& results, Extent2d size,
                   const Conv2dOptions& options = {});

void register_conv(Registry& registry);

}  // namespace tapestry
