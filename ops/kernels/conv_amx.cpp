#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/conv_amx_steps.hpp>
#include <tapestry/ops/kernels/conv_parts.hpp>

#include <algorithm>

namespace tapestry::kernels {
namespace {

using namespace conv_amx;

constexpr std::int64_t kImages = 16;  // of a tile's rows
constexpr std::int64_t kGroup = 32;   // images that are the terms of a product

std::int64_t divided_up(std::int64_t x, std::int64_t by) { return (x + by - 1) / by; }

/// Where a row of a window has no more elements than a tile has terms, it counts as one pixel.
bool folds(const ConvShape& s) { return s.kw > 1 && s.dilation_w == 1 && s.kw * s.cin <= kGroup; }
ConvShape folded(ConvShape s) {
  if (!folds(s)) return s;
  s.cin *= s.kw;
  s.w = s.ow;
  s.kw = s.stride_w = 1;
  s.lo_w = 0;
  return s;
}
SourceRow images_row(const ConvShape& s) {
  const std::int64_t size = s.w * s.cin;
  return folds(s) ? SourceRow{size, -s.lo_w * s.cin, s.stride_w * s.cin} : SourceRow{size, 0, s.cin};
}

/// From images to results, or from results' gradients to images'.
Axis axis(std::int64_t images, std::int64_t results, std::int64_t taps, std::int64_t stride,
          std::int64_t dilation, std::int64_t lo, bool gradient) {
  return {.sources = gradient ? results : images,
          .targets = gradient ? images : results,
          .taps = taps,
          .stride = stride,
          .dilation = dilation,
          .lo = lo,
          .gradient = gradient};
}
Axis down(const ConvShape& s, bool gradient) {
  return axis(s.h, s.oh, s.kh, s.stride_h, s.dilation_h, s.lo_h, gradient);
}
Axis across(const ConvShape& s, bool gradient) {
  return axis(s.w, s.ow, s.kw, s.stride_w, s.dilation_w, s.lo_w, gradient);
}

/// Results from images, or images' gradients from results' gradients.
struct Forward {
  const Convolution& c;
  const bool gradient = c.part == ConvPart::images;
  const ConvShape s = gradient ? c.shape : folded(c.shape);
  const SourceRow row = gradient ? SourceRow{s.ow * s.cout, 0, s.cout} : images_row(c.shape);
  const Axis down = kernels::down(s, gradient), across = kernels::across(s, gradient);
  const std::int64_t terms = gradient ? s.cout : s.cin, columns = gradient ? s.cin : s.cout;
  const std::int64_t blocks = divided_up(s.n, kImages);
  const Chunks bands{down.targets, divided_up(down.targets, divided_up(kBlocks, blocks))};

  /// Blocks of images and rows for many threads, if there are few images.
  static constexpr std::int64_t kBlocks = 16;

  std::size_t filters() const { return std::size_t(filter_bytes(s.taps(), terms, columns)); }
  ConvMemory memory() const {
    return {std::size_t(down.span() * row_bytes(across.sources, terms)), filters()};
  }

  void operator()(const bf16* from, const bf16* w, void* to) const {
    const Scratch::Piece whole(whole_scratch(), memory().whole);
    auto* const packed = whole.as<std::byte>();
    const FilterView view{.filters = w,
                          .taps = s.taps(),
                          .terms = terms,
                          .columns = columns,
                          .tap = s.cin * s.cout,
                          .term = gradient ? 1 : s.cout,
                          .column = gradient ? s.cout : 1};
    parallel_for(pairs(columns), [&](std::int64_t pair) { pack_filters(view, pair, packed); });
    const std::int64_t image = down.targets * across.targets * columns * std::int64_t(size_of(c.to));
    parallel_for(blocks * bands.count(), [&](std::int64_t chunk) {
      const std::int64_t block = chunk / bands.count(), band = chunk % bands.count(), first = block * kImages;
      const Scratch::Piece rows(chunk_scratch(), memory().chunk);
      forward({.down = down,
               .across = across,
               .row = row,
               .from = from + first * down.sources * row.size,
               .images = std::min(kImages, s.n - first),
               .terms = terms,
               .columns = columns,
               .begin = bands.begin(band),
               .end = bands.end(band),
               .filters = packed,
               .rows = rows.as<std::byte>(),
               .to = static_cast<std::byte*>(to) + first * image,
               .past_caches = exceeds_caches(s.n * image)},
              c.to);
    });
  }
};

/// Filters' gradients. Pieces of the batch and of the images have sums of their own, which are added up.
struct Filters {
  const Convolution& c;
  const ConvShape s = folded(c.shape);
  const SourceRow row = images_row(c.shape);
  const Axis down = kernels::down(s, false), across = kernels::across(s, false);
  const Chunks slices{s.n, filter_slices(s.n).end(0), kGroup};
  const Chunks bands{s.oh, divided_up(s.oh, divided_up(kPieces, slices.count()))};
  const std::int64_t rows = rows_at_once();
  const std::int64_t groups = groups_at_once();
  const std::int64_t size = sum_bytes(s.taps(), s.cin, s.cout) / 4;

  static constexpr std::int64_t kPieces = 8;
  /// Pixels that are packed at a time, each of 32 images: so many that sums are seldom read and written, but
  /// they should stay in L2.
  static constexpr std::int64_t kPixels = 48, kPacked = std::int64_t{1200} << 10;
  std::int64_t packed(std::int64_t count) const {
    return group_bytes(packed_rows(down, count), s.w, s.cin) + group_bytes(count, s.ow, s.cout);
  }
  std::int64_t rows_at_once() const {
    std::int64_t count = 1;
    while (count < bands.end(0) && count * s.ow < kPixels && packed(count + 1) <= kPacked) ++count;
    return count;
  }
  std::int64_t groups_at_once() const {
    const std::int64_t all = divided_up(slices.end(0), kGroup);
    std::int64_t count = 1;
    while (count < all && rows == bands.end(0) && count * rows * s.ow < kPixels &&
           (count + 1) * packed(rows) <= kPacked)
      ++count;
    return count;
  }

  std::size_t left() const { return std::size_t(groups * group_bytes(packed_rows(down, rows), s.w, s.cin)); }
  std::size_t right() const { return std::size_t(groups * group_bytes(rows, s.ow, s.cout)); }
  std::int64_t pieces() const { return slices.count() * bands.count(); }
  ConvMemory memory() const { return {left() + right(), std::size_t(pieces() * size * 4)}; }

  void operator()(const bf16* x, const bf16* g, void* to) const {
    const Scratch::Piece whole(whole_scratch(), memory().whole);
    auto* const sums = whole.as<float>();
    parallel_for(pieces(), [&](std::int64_t piece) {
      const Scratch::Piece packed(chunk_scratch(), memory().chunk);
      const std::int64_t slice = piece / bands.count(), band = piece % bands.count();
      const std::int64_t first = slices.begin(slice);
      add_filters({.down = down,
                   .across = across,
                   .row = row,
                   .images = x + first * s.h * row.size,
                   .results = g + first * s.oh * s.ow * s.cout,
                   .count = slices.end(slice) - first,
                   .cin = s.cin,
                   .cout = s.cout,
                   .begin = bands.begin(band),
                   .end = bands.end(band),
                   .rows = rows,
                   .groups = groups,
                   .left = packed.as<std::byte>(),
                   .right = packed.after<std::byte>(left()),
                   .sums = sums + piece * size});
    });
    add_up(sums, sums + size, size, pieces(), size);
    parallel_ranges(s.taps(), 1, [&](std::int64_t begin, std::int64_t end) {
      filter_gradients({.sums = sums,
                        .taps = s.taps(),
                        .cin = s.cin,
                        .cout = s.cout,
                        .filters = to,
                        .begin = begin,
                        .end = end},
                       c.to);
    });
  }
};

}  // namespace

bool amx_convolves(const Convolution& c) {
  if (amx_use() == Amx::never || c.from != DType::bf16) return false;
  const ConvShape& s = c.shape;
  if (s.groups != 1 || s.n < kImages) return false;  // fewer images would leave rows of tiles empty
  // 16 channels leave half of the terms empty, and oneDNN is faster there by two fifths.
  const bool folded = c.part != ConvPart::images && folds(s);
  return std::max(s.cin, s.cout) > 16 || folded || !onednn_convolves(c);
}

void convolve_by_amx(const Convolution& c, const void* a, const void* b, void* to) {
  const auto *x = static_cast<const bf16*>(a), *y = static_cast<const bf16*>(b);
  c.part == ConvPart::filters ? Filters{c}(x, y, to) : Forward{c}(x, y, to);
}

ConvMemory amx_memory(const Convolution& c) {
  return c.part == ConvPart::filters ? Filters{c}.memory() : Forward{c}.memory();
}

}  // namespace tapestry::kernels
