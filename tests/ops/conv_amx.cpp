// Convolutions of bf16 by AMX, and emulated, against loops in f64. Skipped on CPUs without AVX512-BF16.
#include "../support/allocations.hpp"
#include "../support/naive_conv.hpp"
#include "../support/use_amx.hpp"
#include "../support/use_onednn.hpp"
#include "../support/use_winograd.hpp"

#include <tapestry/ops/kernels/gemm_bf16.hpp>

#include <cmath>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
using kernels::Amx;
using kernels::Convolution;
using kernels::ConvPart;
using kernels::ConvShape;
using kernels::Winograd;

namespace {

struct Shaped {
  std::int64_t n, h, w, cin, kh, kw, cout, pad = 0, stride = 1, dilation = 1;
};
ConvShape shape(const Shaped& g) {
  ConvShape s{
      .n = g.n, .h = g.h, .w = g.w, .cin = g.cin, .kh = g.kh, .kw = g.kw, .cout = g.cout, .oh = 0, .ow = 0};
  s.stride_h = s.stride_w = g.stride;
  s.lo_h = s.lo_w = g.pad;
  s.dilation_h = s.dilation_w = g.dilation;
  return with_results(s, g.pad, g.pad);
}

std::vector<ConvShape> shapes() {
  std::vector<ConvShape> all;
  for (const Shaped& s : std::vector<Shaped>{
           {16, 1, 1, 1, 1, 1, 1},          // one pixel, one channel
           {17, 4, 5, 3, 2, 2, 24},         // a batch that leaves rows empty, whole windows only
           {33, 5, 4, 16, 3, 3, 16, 1},     // one tile of channels on both sides
           {70, 3, 3, 40, 3, 3, 33, 1},     // one more channel than a tile; several groups of images
           {16, 7, 7, 64, 3, 3, 96, 1},     // many pairs of tiles
           {16, 6, 7, 24, 3, 3, 50, 1, 2},  // strides that leave a remainder
           {20, 6, 6, 17, 1, 1, 31, 0, 2},  // rows and columns that no window reads
           {16, 9, 8, 5, 3, 3, 7, 2, 1, 2},
           {16, 9, 9, 8, 2, 2, 9, 0, 3, 2},
           {16, 9, 10, 3, 5, 7, 12, 3},  // rows of windows as pixels
           {18, 7, 9, 3, 3, 3, 20, 1, 2},
           {16, 2, 2, 3, 5, 5, 4, 3},      // windows larger than the images
           {16, 4, 4, 5, 2, 2, 6, 4},      // windows outside of the images
           {16, 12, 13, 32, 3, 3, 32, 1},  // several bands of rows
           {40, 8, 30, 30, 3, 2, 20, 1},
           // many rows at a time, of which some have no sources, or fewer than their neighbours
           {256, 6, 5, 17, 1, 1, 18, 0, 2},
           {256, 8, 5, 17, 2, 2, 18, 1, 1, 2},
           {256, 6, 4, 17, 2, 2, 18, 4},
           {256, 7, 4, 17, 2, 2, 18, 0, 3},
           {256, 5, 4, 17, 1, 1, 18, 1},
           {16, 40, 3, 17, 3, 3, 18, 3, 1, 3},
           {16, 16, 48, 17, 3, 3, 18, 3, 1, 3},
           {16, 16, 48, 17, 1, 1, 18, 1}})
    all.push_back(shape(s));
  ConvShape sides = all[1];  // padded below and to the right only
  all.push_back(with_results(sides, 3, 1));
  return all;
}

std::vector<Convolution> convolutions() {
  std::vector<Convolution> all;
  for (const ConvShape& s : shapes()) {
    for (const ConvPart part : kParts) {
      all.push_back({part, s, DType::bf16, DType::f32});
      all.push_back({part, s, DType::bf16, DType::bf16});
    }
  }
  return all;
}

boost::test_tools::assertion_result cpu_multiplies(boost::unit_test::test_unit_id) {
  return kernels::cpu_multiplies_bf16();
}
boost::test_tools::assertion_result cpu_has_amx(boost::unit_test::test_unit_id) { return kernels::has_amx(); }
/// None of the other ways.
struct OnlyAmx {
  UseWinograd winograd{Winograd::never};
  UseOneDnn onednn{false};
};
/// The best way there is.
Amx any() { return kernels::has_amx() ? Amx::where_it_is : Amx::emulated; }

}  // namespace

namespace utf = boost::unit_test;

BOOST_AUTO_TEST_SUITE(conv_amx, *utf::precondition(cpu_multiplies))

BOOST_AUTO_TEST_CASE(they_equal_loops, *utf::precondition(cpu_has_amx)) {
  const OnlyAmx only;
  const UseAmx use(Amx::where_it_is);
  for (const Convolution& c : convolutions()) check_direct(c);
}

BOOST_AUTO_TEST_CASE(emulated_they_equal_loops) {
  const OnlyAmx only;
  const UseAmx use(Amx::emulated);
  for (const Convolution& c : convolutions()) check_direct(c);
}

BOOST_AUTO_TEST_CASE(threads_change_no_bit) {
  const OnlyAmx only;
  const UseAmx use(any());
  check_that_threads_change_no_bit(convolutions());
}

// Not of a window that does not read it, nor of another image.
BOOST_AUTO_TEST_CASE(nan_stays_in_its_windows) {
  const OnlyAmx only;
  const UseAmx use(any());
  const ConvShape s = shape({18, 6, 6, 3, 3, 3, 5, 1});
  const Convolution c{ConvPart::results, s, DType::bf16, DType::f32};
  const Operands o = operands(c);
  Tensor clean(DType::f32, {s.results()}), dirty(DType::f32, {s.results()});
  Tensor a = o.a.to(DType::f32);
  a.mutable_values<float>()[std::size_t(((17 * 6 + 2) * 6 + 3) * 3 + 1)] = std::nanf("");
  a = a.to(DType::bf16);
  kernels::convolve(c, o.a.data(), o.b.data(), clean.mutable_data());
  kernels::convolve(c, a.data(), o.b.data(), dirty.mutable_data());
  for (std::int64_t i = 0; i < s.results(); ++i) {
    const std::int64_t image = i / 5 / 36, y = i / 5 / 6 % 6, x = i / 5 % 6;
    if (image == 17 && std::abs(y - 2) <= 1 && std::abs(x - 3) <= 1) {
      BOOST_TEST(std::isnan(dirty.at(i)));
    } else {
      BOOST_TEST(dirty.at(i) == clean.at(i));
    }
  }
}

// With more channels than any other here, for memory that is there stays.
BOOST_AUTO_TEST_CASE(once_reserved_nothing_is_allocated) {
  const OnlyAmx only;
  const UseAmx use(any());
  check_direct(
      {ConvPart::results, shape({16, 3, 3, 8, 3, 3, 8, 1}), DType::bf16, DType::f32});  // wakes threads
  for (const ConvPart part : kParts) {
    const std::int64_t cin = part == ConvPart::images ? 24 : 2048,
                       cout = part == ConvPart::images ? 2048 : 40;
    const Convolution c{part, shape({16, 4, 4, cin, 3, 3, cout, 1}), DType::bf16, DType::bf16};
    Operands o = operands(c);
    BOOST_TEST(kernels::reserve_for_convolution(c) > 0u);
    const std::size_t before = allocations();
    kernels::convolve(c, o.a.data(), o.b.data(), o.to.mutable_data());
    BOOST_TEST(allocations() == before);
  }
}

BOOST_AUTO_TEST_SUITE_END()
