// The direct convolution kernels, oneDNN's and ours, against loops in f64; what the op refuses. Those by
// Winograd's minimal filtering are in winograd.cpp.
#include "../support/naive_conv.hpp"
#include "../support/use_onednn.hpp"
#include "../support/use_winograd.hpp"

#include <tapestry/ops/conv.hpp>

#include <cmath>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
using kernels::Convolution;
using kernels::ConvPart;
using kernels::ConvShape;
using kernels::Winograd;

namespace {

std::vector<ConvShape> shapes() {
  const auto make = [](std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t cin, std::int64_t kh,
                       std::int64_t kw, std::int64_t cout, std::int64_t pad = 0, std::int64_t stride = 1,
                       std::int64_t dilation = 1, std::int64_t groups = 1) {
    ConvShape s{.n = n, .h = h, .w = w, .cin = cin, .kh = kh, .kw = kw, .cout = cout, .oh = 0, .ow = 0};
    s.stride_h = s.stride_w = stride;
    s.lo_h = s.lo_w = pad;
    s.dilation_h = s.dilation_w = dilation;
    s.groups = groups;
    return with_results(s, pad, pad);
  };
  std::vector<ConvShape> all = {
      make(1, 1, 1, 1, 1, 1, 1), make(3, 8, 7, 3, 2, 2, 24), make(35, 6, 6, 16, 3, 3, 32, 1),
      make(2, 9, 9, 24, 3, 3, 64, 1), make(2, 15, 15, 8, 3, 3, 16, 1, 2), make(2, 14, 13, 8, 3, 3, 17, 0, 2),
      make(4, 7, 7, 32, 1, 1, 16), make(4, 7, 7, 32, 1, 1, 16, 0, 2), make(2, 9, 9, 5, 3, 3, 7, 2, 1, 2),
      make(3, 6, 6, 8, 3, 3, 12, 1, 1, 1, 4), make(3, 7, 6, 19, 3, 3, 19, 1, 1, 1, 19),
      make(3, 9, 9, 16, 3, 3, 16, 1, 2, 1, 16), make(1, 2, 2, 3, 5, 5, 4, 3), make(40, 3, 3, 4, 3, 3, 4, 1),
      make(1, 40, 40, 40, 5, 5, 20, 2), make(1, 4, 4, 2, 4, 4, 300),
      // Taps that lie in the padding, whatever the window.
      make(3, 1, 1, 3, 2, 2, 5, 1, 2), make(3, 2, 1, 16, 3, 3, 16, 1, 2)};
  ConvShape sides = all[1];  // padded below and to the right only
  all.push_back(with_results(sides, 3, 1));
  return all;
}

std::vector<Convolution> convolutions() {
  std::vector<Convolution> all;
  for (const ConvShape& s : shapes()) {
    for (const ConvPart part : kParts) {
      all.push_back({part, s, DType::f32, DType::f32});
      all.push_back({part, s, DType::f64, DType::f64});
      all.push_back({part, s, DType::bf16, DType::f32});
      all.push_back({part, s, DType::bf16, DType::bf16});
    }
  }
  return all;
}

/// One row of results of a 1x1 window, which with a stride leaves out every second pixel.
ConvShape single_pixels(std::int64_t n, std::int64_t results, std::int64_t cin, std::int64_t cout,
                        std::int64_t stride) {
  ConvShape s{
      .n = n, .h = 1, .w = results * stride, .cin = cin, .kh = 1, .kw = 1, .cout = cout, .oh = 1, .ow = 0};
  s.stride_w = stride;
  s.ow = results;
  return s;
}

void check_all_parts(const ConvShape& s) {
  for (const ConvPart part : kParts) {
    check_direct({part, s, DType::f32, DType::f32});
    for (const DType to : {DType::f32, DType::bf16}) check_direct({part, s, DType::bf16, to});
  }
}

std::string refusal(const Shape& x, const Shape& w, const Conv2dOptions& options = {}) {
  Tape tape;
  try {
    conv2d(tape.input("x", {DType::f32, x}), tape.input("w", {DType::f32, w}), options);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

bool says(const std::string& message, std::string_view part) {
  BOOST_TEST_INFO(message);
  return message.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(conv)

BOOST_AUTO_TEST_CASE(ours_equal_loops) {
  const UseWinograd never(Winograd::never);
  const UseOneDnn without(false);
  for (const Convolution& c : convolutions()) check_direct(c);
}

BOOST_AUTO_TEST_CASE(those_of_onednn_equal_loops) {
  const UseWinograd never(Winograd::never);
  const UseOneDnn with(true);
  for (const Convolution& c : convolutions()) check_direct(c);
}

// oneDNN 2.6 read a null pointer at these in bf16; random graphs found it.
BOOST_AUTO_TEST_CASE(windows_that_lie_in_the_padding) {
  const UseWinograd never(Winograd::never);
  const UseOneDnn with(true);
  ConvShape s{.n = 1, .h = 6, .w = 1, .cin = 5, .kh = 1, .kw = 1, .cout = 3, .oh = 3, .ow = 1};
  s.stride_h = 3;
  s.stride_w = 2;
  for (const ConvPart part : kParts) {
    check_direct({part, s, DType::f32, DType::f32});
    for (const DType to : {DType::f32, DType::bf16}) check_direct({part, s, DType::bf16, to});
  }
}

// Gradients that oneDNN 2.6 gets wrong, and what is next to them, which it may compute; with NaN in what it
// works in. Found by looking for a NaN that one process in many had for a random graph, by the last of these.
BOOST_AUTO_TEST_CASE(the_scratch_of_single_pixels_with_strides_is_kept_to) {
  const UseOneDnn with(true);
  for (const std::int64_t channels : {1, 7, 15, 16, 17}) {
    for (const std::int64_t pixels : {7 * 3, 40 * 40})
      check_all_parts(single_pixels(1, pixels, channels, 8, 2));
  }
}

BOOST_AUTO_TEST_CASE(thirty_pixels_of_an_odd_number_of_filters) {
  const UseOneDnn with(true);
  for (const std::int64_t filters : {1, 2, 16, 17}) {
    for (const std::int64_t pixels : {29, 30, 31, 59, 120}) {
      for (const std::int64_t stride : {1, 2}) {
        check_all_parts(single_pixels(1, pixels, 5, filters, stride));
        check_all_parts(single_pixels(2, pixels, 32, filters, stride));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(images_of_one_channel_narrower_than_the_stride) {
  const UseOneDnn with(true);
  for (const std::int64_t channels : {1, 2}) {
    for (const std::int64_t width : {1, 2, 3, 4}) {
      for (const std::int64_t window : {1, 2}) {
        if (window > width) continue;
        ConvShape s{
            .n = 1, .h = 3, .w = width, .cin = channels, .kh = 1, .kw = window, .cout = 4, .oh = 0, .ow = 0};
        s.stride_w = 3;
        check_all_parts(with_results(s, 0, 0));
      }
    }
  }
}

// They are slower by our own kernels.
BOOST_AUTO_TEST_CASE(no_others_are_kept_from_onednn) {
  const UseOneDnn with(true);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto goes = [&](ConvPart part, const ConvShape& s) {
      return kernels::onednn_convolves({part, s, dtype, DType::f32});
    };
    if (!goes(ConvPart::results, single_pixels(1, 60, 16, 16, 1))) continue;  // nothing does on this CPU
    for (const std::int64_t stride : {1, 2}) {
      BOOST_TEST(goes(ConvPart::results, single_pixels(1, 60, 1, 1, stride)));
      BOOST_TEST(goes(ConvPart::images, single_pixels(1, 60, 1, 2, stride)));
      BOOST_TEST(goes(ConvPart::filters, single_pixels(1, 60, 16, 1, stride)));
    }
    BOOST_TEST(goes(ConvPart::filters, single_pixels(1, 60, 1, 1, 1)));
  }
}

BOOST_AUTO_TEST_CASE(threads_change_no_bit) {
  const UseWinograd never(Winograd::never);
  for (const bool onednn : {false, true}) {
    const UseOneDnn use(onednn);
    check_that_threads_change_no_bit(convolutions());
  }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  BOOST_TEST(
      says(refusal({2, 5, 5, 3}, {3, 3, 4, 8}), "the images have 3 channels and the filters are for 4"));
  BOOST_TEST(says(refusal({2, 5, 5}, {3, 3, 4, 8}), "images have four axes"));
  BOOST_TEST(says(refusal({2, 5, 5, 3}, {3, 3, 8}), "filters have four axes"));
  BOOST_TEST(says(refusal({2, 2, 5, 3}, {3, 3, 3, 8}), "the window of 3x3 is larger than the image of 2x5"));
  BOOST_TEST(
      says(refusal({2, 5, 5, 4}, {3, 3, 2, 7}, {.groups = 2}), "7 filters can't be cut into 2 groups"));
  BOOST_TEST(says(refusal({2, 5, 5, 3}, {3, 3, 3, 8}, {.stride = {0, 1}}), "the stride 0x1 isn't positive"));
  BOOST_TEST(says(refusal({2, 5, 5, 3}, {3, 3, 3, 8}, {.padding = -1}), "negative"));
}

BOOST_AUTO_TEST_SUITE_END()
