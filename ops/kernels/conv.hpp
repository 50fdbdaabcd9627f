// Convolutions of images and their two adjoints, row-major and channels last: images [n, h, w, cin], filters
// [kh, kw, cin / groups, cout], results [n, oh, ow, cout]. 3x3 windows go by Winograd's minimal filtering
// where it pays, bf16 by AMX where the CPU has it; oneDNN computes the others where it is in use and has a
// kernel for it; elsewhere they are matrix products of unfolded images. The batch is cut into slices that
// follow from the shape alone and sums over the batch are added up in a fixed tree, so the number of threads
// changes no bit.
#pragma once

#include <tapestry/core/dtype.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>

namespace tapestry::kernels {

struct ConvShape {
  std::int64_t n, h, w, cin;                // the images
  std::int64_t kh, kw, cout;                // the filters
  std::int64_t oh, ow;                      // the results
  std::int64_t stride_h = 1, stride_w = 1;  // from one result to the next, in pixels
  std::int64_t lo_h = 0, lo_w = 0;          // how far outside the first window starts
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t groups = 1;

  auto operator<=>(const ConvShape&) const = default;

  std::int64_t cin_each() const { return cin / groups; }
  std::int64_t cout_each() const { return cout / groups; }
  std::int64_t taps() const { return kh * kw; }
  std::int64_t images() const { return n * h * w * cin; }
  std::int64_t filters() const { return taps() * cin_each() * cout; }
  std::int64_t results() const { return n * oh * ow * cout; }
};

/// What is computed, from what: results from images and filters, the images' gradient from the results' and
/// filters, the filters' gradient from images and the results' gradient.
enum class ConvPart : std::uint8_t { results, images, filters };

struct Convolution {
  ConvPart part;
  ConvShape shape;
  /// Of both operands: f32, f64, or bf16, which is multiplied and added up in f32.
  DType from = DType::f32;
  /// Of what is computed: `from`, or f32 where that is bf16.
  DType to = DType::f32;

  auto operator<=>(const Convolution&) const = default;
};

/// Overwrites `to`, which must not overlap the operands. Nothing may be empty but the batch and what is
/// computed.
void convolve(const Convolution& c, const void* a, const void* b, void* to);

/// Makes what a convolution needs besides its operands, memory for each thread among it. Convolutions share
/// it and it stays. Returns its bytes.
std::size_t reserve_for_convolution(const Convolution& c);

}  // namespace tapestry::kernels
