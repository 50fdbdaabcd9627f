#include <tapestry/core/op.hpp>
#include <tapestry/ops/window.hpp>

#include <algorithm>

namespace tapestry {
namespace {

std::string pair(Extent2d e) { return text(e.h, "x", e.w); }

std::int64_t reach(std::int64_t size, std::int64_t dilation) { return (size - 1) * dilation + 1; }

/// As many as the last window needs to have all of its elements.
std::int64_t same_padding(std::int64_t image, std::int64_t window, std::int64_t stride) {
  const std::int64_t places = (image + stride - 1) / stride;
  return std::max<std::int64_t>((places - 1) * stride + window - image, 0);
}

}  // namespace

Window2d Window2d::over(Extent2d image, Extent2d size, Extent2d stride, const Padding& padding,
                        Extent2d dilation) {
  const auto positive = [](const char* what, Extent2d e) {
    require_type(e.h > 0 && e.w > 0, "the ", what, " ", pair(e), " isn't positive");
  };
  // So that no sum or product of them wraps around.
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  const auto bounded = [](const char* what, Extent2d e) {
    require_type(e.h <= kMost && e.w <= kMost, "the ", what, " ", pair(e), " is more than 2^30");
  };
  positive("window", size);
  positive("stride", stride);
  positive("dilation", dilation);
  bounded("window", size);
  bounded("stride", stride);
  bounded("dilation", dilation);
  bounded("padding", padding.lo_);
  bounded("padding", padding.hi_);
  Window2d window{size, stride, dilation, padding.lo_, padding.hi_};
  if (padding.same_) {
    const std::int64_t rows = same_padding(image.h, reach(size.h, dilation.h), stride.h);
    const std::int64_t columns = same_padding(image.w, reach(size.w, dilation.w), stride.w);
    window.lo = {rows / 2, columns / 2};
    window.hi = {rows - rows / 2, columns - columns / 2};
  }
  for (const Extent2d& e : {window.lo, window.hi}) {
    require_type(e.h >= 0 && e.w >= 0, "the padding ", pair(e), " is negative");
  }
  return window;
}

Extent2d Window2d::places(Extent2d image) const {
  const Extent2d padded(image.h + lo.h + hi.h, image.w + lo.w + hi.w);
  const Extent2d whole(reach(size.h, dilation.h), reach(size.w, dilation.w));
  require_type(whole.h <= padded.h && whole.w <= padded.w, "the window of ", pair(whole),
               " is larger than the image of ", pair(padded), padded == image ? "" : " with its padding");
  return {(padded.h - whole.h) / stride.h + 1, (padded.w - whole.w) / stride.w + 1};
}

void Window2d::fields(FieldVisitor& f) const {
  const auto both = [&](std::string_view name, Extent2d e) { f(name, Shape{e.h, e.w}); };
  both("size", size);
  both("stride", stride);
  if (dilation != Extent2d(1)) both("dilation", dilation);
  if (lo != Extent2d(0)) both("lo", lo);
  if (hi != Extent2d(0)) both("hi", hi);
}

}  // namespace tapestry
