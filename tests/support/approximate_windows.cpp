// Convolutions and pools of the differential tests' reference.
#include "approximate_parts.hpp"
#include "winograd_bound.hpp"

#include <tapestry/ops/kernels/winograd.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tapestry::test::approximate_parts {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A window over images [n, h, w, c], from an op's attributes.
struct Windows {
  Shape size, stride, dilation{1, 1}, lo{0, 0}, hi{0, 0}, image;

  explicit Windows(const Fields& f)
      : size(f.shape("size")), stride(f.shape("stride")), image(f.shape("image")) {
    for (const auto& [name, to] : {std::pair("dilation", &dilation), {"lo", &lo}, {"hi", &hi}}) {
      if (f.shapes.contains(name)) *to = f.shape(name);
    }
  }
  std::int64_t places(int axis) const {
    return (image[axis] + lo[axis] + hi[axis] - (size[axis] - 1) * dilation[axis] - 1) / stride[axis] + 1;
  }
  /// Calls f(result pixel, number, image pixel) for what is inside, image after image.
  template <class F>
  void visit(std::int64_t n, const F& f) const {
    const std::int64_t oh = places(0), ow = places(1);
    for (std::int64_t at = 0; at < n * oh * ow; ++at) {
      for (std::int64_t k = 0; k < size[0] * size[1]; ++k) {
        const std::int64_t row = at / ow % oh * stride[0] - lo[0] + k / size[1] * dilation[0];
        const std::int64_t column = at % ow * stride[1] - lo[1] + k % size[1] * dilation[1];
        if (row < 0 || row >= image[0] || column < 0 || column >= image[1]) continue;
        f(at, k, (at / (oh * ow) * image[0] + row) * image[1] + column);
      }
    }
  }
};

/// Sums of products: how many terms, and what their magnitudes add up to.
struct Sums {
  std::vector<double> size, terms;
  explicit Sums(std::size_t count) : size(count), terms(count) {}
};

using kernels::Convolution;
using kernels::ConvPart;
using kernels::Winograd;

/// Is it, or may it be, by minimal filtering?
bool by_winograd(const Convolution& c) {
  constexpr std::int64_t kLeastChannels = 24;  // where it pays; see conv.cpp
  return winograd_possible(c) && kernels::winograd_use() != Winograd::never &&
         (kernels::winograd_use() == Winograd::wherever_possible ||
          std::min(c.shape.cin, c.shape.cout) >= kLeastChannels);
}

std::vector<double> magnitudes(const Approximate& x) {
  std::vector<double> all(x.value.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = std::abs(x.value[i]) + x.error[i];
  return all;
}

void convolve(Approximate& y, const Approximate& a, const Approximate& b, std::string_view op,
              const Fields& f) {
  const Windows windows(f);
  const bool images = op == "conv2d_images", filters = op == "conv2d_filters";
  const Shape& results = images ? a.type.shape : filters ? b.type.shape : y.type.shape;
  const Shape& pictures = images ? y.type.shape : a.type.shape;
  const auto groups = std::int64_t(f.number("groups"));
  const std::int64_t cin = pictures[3], cout = results[3], each = cin / groups;
  std::ranges::fill(y.value, 0);
  std::ranges::fill(y.error, 0);
  Sums sums(y.value.size());
  const bool half = a.type.dtype == DType::bf16;
  windows.visit(results[0], [&](std::int64_t result, std::int64_t k, std::int64_t pixel) {
    for (std::int64_t o = 0; o < cout; ++o) {
      for (std::int64_t i = 0; i < each; ++i) {
        const auto at_x = std::size_t(pixel * cin + o / (cout / groups) * each + i);
        const auto at_w = std::size_t((k * each + i) * cout + o), at_y = std::size_t(result * cout + o);
        const std::size_t p = images ? at_y : at_x, q = filters ? at_y : at_w;
        const std::size_t to = images ? at_x : filters ? at_w : at_y;
        const double va = a.value[p], vb = b.value[q], ea = a.error[p], eb = b.error[q];
        y.value[to] += va * vb;
        y.error[to] += std::abs(va) * eb + std::abs(vb) * ea + ea * eb;
        if (half) y.error[to] += underflow(va, vb);
        sums.size[to] += std::abs(va * vb);
        ++sums.terms[to];
      }
    }
  });
  const Convolution c{.part = images    ? ConvPart::images
                              : filters ? ConvPart::filters
                                        : ConvPart::results,
                      .shape = {.n = results[0],
                                .h = windows.image[0],
                                .w = windows.image[1],
                                .cin = cin,
                                .kh = windows.size[0],
                                .kw = windows.size[1],
                                .cout = cout,
                                .oh = windows.places(0),
                                .ow = windows.places(1),
                                .stride_h = windows.stride[0],
                                .stride_w = windows.stride[1],
                                .lo_h = windows.lo[0],
                                .lo_w = windows.lo[1],
                                .dilation_h = windows.dilation[0],
                                .dilation_w = windows.dilation[1],
                                .groups = groups},
                      .from = a.type.dtype,
                      .to = y.type.dtype};
  // bf16 is added up in f32, and rounded once.
  const double u = roundoff(half ? DType::f32 : y.type.dtype);
  for (std::size_t i = 0; i < y.value.size(); ++i) sums.size[i] += y.error[i];
  for (std::size_t i = 0; i < y.value.size(); ++i) y.error[i] += u * (sums.terms[i] + 16) * sums.size[i];
  if (by_winograd(c)) {
    const std::vector<double> sizes = winograd_sizes(c, magnitudes(a), magnitudes(b));
    for (std::size_t i = 0; i < y.value.size(); ++i) y.error[i] += winograd_part(c) * sizes[i];
  }
  if (y.type.dtype != DType::bf16) return;
  for (std::size_t i = 0; i < y.value.size(); ++i)
    y.error[i] += roundoff(DType::bf16) * (std::abs(y.value[i]) + y.error[i]) + 2e-38;
}

/// The largest elements; where two may be, their number is unknown.
void largest(Approximate& y, const Approximate& x, bool number, const Fields& f) {
  const std::int64_t c = x.type.shape[3];
  std::vector<double> best(y.value.size(), -kInfinity), error(y.value.size(), 0), at(y.value.size(), -1);
  std::vector<bool> sure(y.value.size(), true);
  Windows(f).visit(x.type.shape[0], [&](std::int64_t result, std::int64_t k, std::int64_t pixel) {
    for (std::int64_t i = 0; i < c; ++i) {
      const auto to = std::size_t(result * c + i), from = std::size_t(pixel * c + i);
      const double v = x.value[from], e = x.error[from];
      if (at[to] >= 0 && e + error[to] > 0 && !(std::abs(v - best[to]) > e + error[to])) sure[to] = false;
      if (at[to] < 0 || v > best[to]) {
        best[to] = v;
        at[to] = double(k);
      }
      error[to] = std::max(error[to], e);
    }
  });
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    y.value[i] = number ? at[i] : best[i];
    y.error[i] = number ? (sure[i] ? 0 : kInfinity) : error[i];
  }
}

void pick(Approximate& y, const Approximate& x, const Approximate& index, const Fields& f) {
  const std::int64_t c = x.type.shape[3];
  Windows(f).visit(x.type.shape[0], [&](std::int64_t result, std::int64_t k, std::int64_t pixel) {
    for (std::int64_t i = 0; i < c; ++i) {
      const auto to = std::size_t(result * c + i), from = std::size_t(pixel * c + i);
      if (index.error[to] > 0) y.error[to] = kInfinity;
      if (index.value[to] != double(k)) continue;
      y.value[to] = x.value[from];
      y.error[to] = std::max(x.error[from], index.error[to]);
    }
  });
}

void put(Approximate& y, const Approximate& g, const Approximate& index, const Fields& f) {
  const std::int64_t c = g.type.shape[3];
  const double u = roundoff(y.type.dtype);
  std::ranges::fill(y.value, 0);
  std::ranges::fill(y.error, 0);
  Windows(f).visit(g.type.shape[0], [&](std::int64_t result, std::int64_t k, std::int64_t pixel) {
    for (std::int64_t i = 0; i < c; ++i) {
      const auto from = std::size_t(result * c + i), to = std::size_t(pixel * c + i);
      if (index.error[from] > 0) y.error[to] = kInfinity;
      if (index.value[from] != double(k)) continue;
      y.value[to] += g.value[from];
      y.error[to] += g.error[from] + u * (std::abs(y.value[to]) + g.error[from] + y.error[to]);
    }
  });
}

void mean_of(Approximate& y, const Approximate& x, bool images, const Fields& f) {
  const Windows windows(f);
  const std::int64_t c = y.type.shape[3], n = y.type.shape[0];
  const bool inside = f.numbers.contains("inside");
  std::vector<double> counts(std::size_t(n * windows.places(0) * windows.places(1)), 0);
  windows.visit(n, [&](std::int64_t result, std::int64_t, std::int64_t) { ++counts[std::size_t(result)]; });
  std::ranges::fill(y.value, 0);
  std::ranges::fill(y.error, 0);
  Sums sums(y.value.size());
  windows.visit(n, [&](std::int64_t result, std::int64_t, std::int64_t pixel) {
    const double count = inside ? counts[std::size_t(result)] : double(windows.size[0] * windows.size[1]);
    for (std::int64_t i = 0; i < c; ++i) {
      const auto from = std::size_t((images ? result : pixel) * c + i),
                 to = std::size_t((images ? pixel : result) * c + i);
      y.value[to] += x.value[from] / count;
      y.error[to] += x.error[from] / count;
      sums.size[to] += std::abs(x.value[from]) / count;
      ++sums.terms[to];
    }
  });
  const double u = roundoff(y.type.dtype);
  for (std::size_t i = 0; i < y.value.size(); ++i)
    y.error[i] += u * (2 * sums.terms[i] + 4) * (sums.size[i] + y.error[i]);
}

}  // namespace

bool windows(std::string_view op, Approximate& y, std::span<const Approximate* const> x, const Fields& f) {
  if (op.starts_with("conv2d")) {
    convolve(y, *x[0], *x[1], op, f);
  } else if (op == "max_pool2d" || op == "max_pool2d_index") {
    largest(y, *x[0], op == "max_pool2d_index", f);
  } else if (op == "max_pool2d_pick") {
    pick(y, *x[0], *x[1], f);
  } else if (op == "max_pool2d_put") {
    put(y, *x[0], *x[1], f);
  } else if (op == "avg_pool2d" || op == "avg_pool2d_images") {
    mean_of(y, *x[0], op == "avg_pool2d_images", f);
  } else {
    return false;
  }
  return true;
}

}  // namespace tapestry::test::approximate_parts
