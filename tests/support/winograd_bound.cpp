#include "winograd_bound.hpp"

#include <tapestry/ops/kernels/gemm_bf16.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include <hwy/targets.h>

namespace tapestry::test {
namespace {

using kernels::Convolution;
using kernels::ConvPart;
using kernels::ConvShape;

template <std::size_t kTo, std::size_t kFrom>
using Matrix = std::array<std::array<double, kFrom>, kTo>;
// Their magnitudes, with the additions of a row in two dimensions.
constexpr Matrix<4, 4> kOfImages = {{{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}}};
constexpr Matrix<4, 3> kOfFilters = {{{1, 0, 0}, {.5, .5, .5}, {.5, .5, .5}, {0, 0, 1}}};
constexpr Matrix<4, 2> kOfResults = {{{1, 0}, {1, 1}, {1, 1}, {0, 1}}};
constexpr int kImageAdditions = 2, kFilterAdditions = 4, kGradientAdditions = 2, kBackAdditions = 4;

/// M |x| M^T, where x(i, j) gives an element.
template <std::size_t kTo, std::size_t kFrom, class X>
std::array<double, kTo * kTo> transformed(const Matrix<kTo, kFrom>& m, const X& x) {
  std::array<double, kTo * kTo> y{};
  for (std::size_t i = 0; i < kFrom; ++i) {
    for (std::size_t j = 0; j < kFrom; ++j) {
      const double size = std::abs(x(std::int64_t(i), std::int64_t(j)));
      for (std::size_t k = 0; k < kTo; ++k)
        for (std::size_t l = 0; l < kTo; ++l) y[k * kTo + l] += m[k][i] * m[l][j] * size;
    }
  }
  return y;
}
template <std::size_t kFrom, std::size_t kTo>
Matrix<kTo, kFrom> turned(const Matrix<kFrom, kTo>& m) {
  Matrix<kTo, kFrom> t{};
  for (std::size_t i = 0; i < kTo; ++i)
    for (std::size_t j = 0; j < kFrom; ++j) t[i][j] = m[j][i];
  return t;
}

/// Images [n, h, w, channels] with zeros around them.
struct Pixels {
  std::span<const double> values;
  std::int64_t h, w, channels;
  double operator()(std::int64_t i, std::int64_t y, std::int64_t x, std::int64_t c) const {
    if (y < 0 || y >= h || x < 0 || x >= w) return 0;
    return values[std::size_t(((i * h + y) * w + x) * channels + c)];
  }
};

/// The expression of magnitudes for results [n, oh, ow, cout].
std::vector<double> sizes_of_results(const ConvShape& s, const Pixels& x, std::span<const double> w) {
  std::vector<double> sizes(std::size_t(s.results()));
  std::vector<std::array<double, 16>> filters;
  for (std::int64_t f = 0; f < s.cin * s.cout; ++f)
    filters.push_back(transformed(kOfFilters, [&](std::int64_t i, std::int64_t j) {
      return w[std::size_t((i * 3 + j) * s.cin * s.cout + f)];
    }));
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (std::int64_t y = 0; y < s.oh; y += 2) {
      for (std::int64_t column = 0; column < s.ow; column += 2) {
        std::vector<std::array<double, 16>> sums(std::size_t(s.cout), std::array<double, 16>{});
        for (std::int64_t ci = 0; ci < s.cin; ++ci) {
          const auto tile = transformed(kOfImages, [&](std::int64_t i, std::int64_t j) {
            return x(n, y - s.lo_h + i, column - s.lo_w + j, ci);
          });
          for (std::int64_t co = 0; co < s.cout; ++co)
            for (std::size_t p = 0; p < 16; ++p)
              sums[std::size_t(co)][p] += tile[p] * filters[std::size_t(ci * s.cout + co)][p];
        }
        for (std::int64_t co = 0; co < s.cout; ++co) {
          const auto tile = transformed(turned(kOfResults), [&](std::int64_t i, std::int64_t j) {
            return sums[std::size_t(co)][std::size_t(i * 4 + j)];
          });
          for (std::int64_t i = 0; i < std::min<std::int64_t>(2, s.oh - y); ++i)
            for (std::int64_t j = 0; j < std::min<std::int64_t>(2, s.ow - column); ++j)
              sizes[std::size_t(((n * s.oh + y + i) * s.ow + column + j) * s.cout + co)] =
                  tile[std::size_t(i * 2 + j)];
        }
      }
    }
  }
  return sizes;
}

/// Images' gradients are the results of the results' gradients and filters turned round.
std::vector<double> sizes_of_images(const ConvShape& s, const Pixels& g, std::span<const double> w) {
  ConvShape back{
      .n = s.n, .h = s.oh, .w = s.ow, .cin = s.cout, .kh = 3, .kw = 3, .cout = s.cin, .oh = s.h, .ow = s.w};
  back.lo_h = 2 - s.lo_h;
  back.lo_w = 2 - s.lo_w;
  std::vector<double> filters(w.size());
  for (std::int64_t tap = 0; tap < 9; ++tap)
    for (std::int64_t ci = 0; ci < s.cin; ++ci)
      for (std::int64_t co = 0; co < s.cout; ++co)
        filters[std::size_t(((8 - tap) * s.cout + co) * s.cin + ci)] =
            w[std::size_t((tap * s.cin + ci) * s.cout + co)];
  return sizes_of_results(back, g, filters);
}

std::vector<double> sizes_of_filters(const ConvShape& s, const Pixels& x, const Pixels& g) {
  std::vector<std::array<double, 16>> sums(std::size_t(s.cin * s.cout), std::array<double, 16>{});
  for (std::int64_t n = 0; n < s.n; ++n) {
    for (std::int64_t y = 0; y < s.oh; y += 2) {
      for (std::int64_t column = 0; column < s.ow; column += 2) {
        std::vector<std::array<double, 16>> right;
        for (std::int64_t co = 0; co < s.cout; ++co)
          right.push_back(transformed(
              kOfResults, [&](std::int64_t i, std::int64_t j) { return g(n, y + i, column + j, co); }));
        for (std::int64_t ci = 0; ci < s.cin; ++ci) {
          const auto left = transformed(kOfImages, [&](std::int64_t i, std::int64_t j) {
            return x(n, y - s.lo_h + i, column - s.lo_w + j, ci);
          });
          for (std::int64_t co = 0; co < s.cout; ++co)
            for (std::size_t p = 0; p < 16; ++p)
              sums[std::size_t(ci * s.cout + co)][p] += left[p] * right[std::size_t(co)][p];
        }
      }
    }
  }
  std::vector<double> sizes(std::size_t(s.filters()));
  for (std::int64_t f = 0; f < s.cin * s.cout; ++f) {
    const auto taps = transformed(turned(kOfFilters), [&](std::int64_t i, std::int64_t j) {
      return sums[std::size_t(f)][std::size_t(i * 4 + j)];
    });
    for (std::int64_t tap = 0; tap < 9; ++tap)
      sizes[std::size_t(tap * s.cin * s.cout + f)] = taps[std::size_t(tap)];
  }
  return sizes;
}

}  // namespace

bool winograd_possible(const Convolution& c) {
  const ConvShape& s = c.shape;
  return c.from != DType::f64 && s.kh == 3 && s.kw == 3 && s.stride_h == 1 && s.stride_w == 1 &&
         s.dilation_h == 1 && s.dilation_w == 1 && s.groups == 1;
}

std::vector<double> winograd_sizes(const Convolution& c, std::span<const double> a,
                                   std::span<const double> b) {
  const ConvShape& s = c.shape;
  const auto images = [&](std::span<const double> values) { return Pixels{values, s.h, s.w, s.cin}; };
  const auto results = [&](std::span<const double> values) { return Pixels{values, s.oh, s.ow, s.cout}; };
  return c.part == ConvPart::results  ? sizes_of_results(s, images(a), b)
         : c.part == ConvPart::images ? sizes_of_images(s, results(a), b)
                                      : sizes_of_filters(s, images(a), results(b));
}

double winograd_part(const Convolution& c) {
  const ConvShape& s = c.shape;
  const std::int64_t terms = c.part == ConvPart::results  ? s.cin
                             : c.part == ConvPart::images ? s.cout
                                                          : s.n * ((s.oh + 1) / 2) * ((s.ow + 1) / 2);
  const int additions = kImageAdditions + kBackAdditions +
                        (c.part == ConvPart::filters ? kGradientAdditions : kFilterAdditions);
  const bool native = (hwy::SupportedTargets() & HWY_AVX3) && kernels::cpu_multiplies_bf16();
  const double operand = c.from == DType::bf16 && native ? 0x1p-8 : 0;
  return (1 + operand) * (1 + operand) * (1 + 1.01 * 0x1p-24 * double(terms + additions)) - 1;
}

}  // namespace tapestry::test
