// The steps of direct convolutions of bf16 images by AMX, on the calling thread. A row of a tile is an image:
// the sums of 16 images at one pixel are products of what the same 16 images have where a tap of the window
// lies, so borders, strides and dilations only decide which tiles are multiplied, and windows' taps outside
// of the images are not multiplied at all.
#pragma once

#include <tapestry/core/dtype.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tapestry::kernels::conv_amx {

/// Which source a target takes from under a tap of the window, along one axis. Results are targets with
/// images as sources; for images' gradients it is the other way round.
struct Axis {
  std::int64_t sources = 0, targets = 0, taps = 0;
  std::int64_t stride = 1, dilation = 1, lo = 0;
  bool gradient = false;

  /// -1: outside.
  std::int64_t source(std::int64_t target, std::int64_t tap) const {
    std::int64_t place = target * stride + tap * dilation - lo;
    if (gradient) {
      const std::int64_t from = target + lo - tap * dilation;
      if (from % stride != 0) return -1;
      place = from / stride;
    }
    return place >= 0 && place < sources ? place : -1;
  }
  /// Bounds that grow with the target: this one and those after it have no sources below first(), this one
  /// and those before it none above last(). Rows are packed once, in order, whatever a target at a border
  /// leaves out.
  std::int64_t first(std::int64_t target) const {
    if (!gradient) return std::max<std::int64_t>(target * stride - lo, 0);
    return (std::max<std::int64_t>(target + lo - (taps - 1) * dilation, 0) + stride - 1) / stride;
  }
  std::int64_t last(std::int64_t target) const {
    const std::int64_t place =
        gradient ? (target + lo) / stride : target * stride + (taps - 1) * dilation - lo;
    return std::min(place, sources - 1);
  }
  /// From one target to the next whose sources are the next, too.
  std::int64_t targets_apart() const { return gradient ? stride : 1; }
  /// Sources that a target spans at most.
  std::int64_t span() const { return (taps - 1) * dilation / (gradient ? stride : 1) + 1; }
};

/// Where the pixels of a row of sources are: pixel i's terms begin at its element first + i step, and those
/// that would be outside of the row's `size` elements are 0. So a pixel may be a row of a window, too, with
/// all of its taps for terms: for few channels, which would leave tiles empty.
struct SourceRow {
  std::int64_t size = 0, first = 0, step = 0;
};

/// Filters [taps, terms, columns] of any strides, in elements.
struct FilterView {
  const bf16* filters = nullptr;
  std::int64_t taps = 0, terms = 0, columns = 0;
  std::int64_t tap = 0, term = 0, column = 0;
};

/// Results, or images' gradients, of the target rows [begin, end) of up to 16 images.
struct ForwardBlock {
  Axis down, across;
  SourceRow row;
  const bf16* from = nullptr;  ///< the first image's sources [sources down, row.size]
  std::int64_t images = 0, terms = 0, columns = 0;
  std::int64_t begin = 0, end = 0;
  const std::byte* filters = nullptr;  ///< as pack_filters() made them
  std::byte* rows = nullptr;           ///< down.span() packed rows of sources, to work in
  void* to = nullptr;                  ///< the first image's targets [targets down, across, columns]
  bool past_caches = false;            ///< stored so, where that is possible
};

/// Filters' gradients of some images and rows of results.
struct FilterBlock {
  Axis down, across;              ///< from results to images
  SourceRow row;                  ///< of images
  const bf16* images = nullptr;   ///< [count, sources down, row.size]
  const bf16* results = nullptr;  ///< [count, targets down, across, cout]
  std::int64_t count = 0, cin = 0, cout = 0;
  std::int64_t begin = 0, end = 0;  ///< rows of results
  std::int64_t rows = 1;            ///< of results that are packed at a time
  std::int64_t groups = 1;          ///< of 32 images that are packed at a time
  std::byte* left = nullptr;        ///< packed images, to work in
  std::byte* right = nullptr;       ///< packed results, to work in
  float* sums = nullptr;            ///< overwritten; filter_gradients() reads them
};

/// Sums of FilterBlocks as gradients [taps, cin, cout], for the taps [begin, end).
struct FilterSums {
  const float* sums = nullptr;
  std::int64_t taps = 0, cin = 0, cout = 0;
  void* filters = nullptr;
  std::int64_t begin = 0, end = 0;
};

/// Pairs of tiles that so many channels take. Packed filters are made pair by pair of their columns.
constexpr std::int64_t pairs(std::int64_t channels) { return (channels + 31) / 32; }

// Bytes of what the blocks work with.
constexpr std::int64_t kPair = 2048;
constexpr std::int64_t filter_bytes(std::int64_t taps, std::int64_t terms, std::int64_t columns) {
  return taps * pairs(terms) * pairs(columns) * kPair;
}
/// A packed row of sources of a ForwardBlock.
constexpr std::int64_t row_bytes(std::int64_t pixels, std::int64_t terms) {
  return pixels * pairs(terms) * kPair / 2;
}
/// Packed rows of one group of a FilterBlock.
constexpr std::int64_t group_bytes(std::int64_t rows, std::int64_t pixels, std::int64_t channels) {
  return rows * pixels * pairs(channels) * kPair;
}
constexpr std::int64_t sum_bytes(std::int64_t taps, std::int64_t cin, std::int64_t cout) {
  return taps * pairs(cin) * pairs(cout) * 2 * kPair;
}
/// Rows of images that are kept packed for so many rows of results.
inline std::int64_t packed_rows(const Axis& down, std::int64_t rows) {
  return (rows - 1) * down.stride + down.span();
}

void pack_filters(const FilterView& f, std::int64_t pair, std::byte* to);
/// To bf16, or f32.
void forward(const ForwardBlock& b, DType to);
void add_filters(const FilterBlock& b);
void filter_gradients(const FilterSums& s, DType to);

}  // namespace tapestry::kernels::conv_amx
