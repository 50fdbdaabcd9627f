#include <tapestry/ops/kernels/conv_parts.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/kernels/onednn.hpp>
#include <tapestry/ops/kernels/winograd.hpp>
#include <tapestry/ops/kernels/winograd_steps.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace tapestry::kernels {
namespace {

using namespace winograd;

std::atomic<Winograd>& use() {
  static std::atomic<Winograd> value = [] {
    const char* set = std::getenv("TAPESTRY_WINOGRAD");
    return set && std::string_view(set) == "0" ? Winograd::never : Winograd::where_it_pays;
  }();
  return value;
}

constexpr std::int64_t kLine = 16;  // words of a cache line

std::int64_t rounded_up(std::int64_t x, std::int64_t to) { return (x + to - 1) / to * to; }

std::size_t bytes_of(std::int64_t words) { return Scratch::aligned(std::size_t(words) * sizeof(float)); }

/// The tiles of `windows` [h, w], seen in images [h, w, channels].
Tiling tiling(std::int64_t h, std::int64_t w, std::int64_t channels, std::int64_t lo_h, std::int64_t lo_w,
              std::int64_t windows_h, std::int64_t windows_w) {
  return {h, w, channels, lo_h, lo_w, (windows_h + kOut - 1) / kOut, (windows_w + kOut - 1) / kOut};
}

std::int64_t tiles_of(const ConvShape& s, const Tiling& t) { return s.n * t.down * t.across; }

/// Points, and rows of many words, are not apart by what divides a page, or they would compete for the same
/// sets of the first cache.
constexpr std::int64_t kApart = kLine;
std::int64_t row_of(std::int64_t words) {
  const std::int64_t whole = rounded_up(words, kLine);
  return whole < 4 * kLine ? whole : whole + kApart;
}

/// Results from images, or images' gradients from results' gradients: those are results, too, of filters
/// turned round.
struct Forward {
  const Convolution& c;
  const Steps& run = steps(c.from, c.to);
  const bool gradient = c.part == ConvPart::images;
  const ConvShape& s = c.shape;
  const Tiling in = gradient ? tiling(s.oh, s.ow, s.cout, kTaps - 1 - s.lo_h, kTaps - 1 - s.lo_w, s.h, s.w)
                             : tiling(s.h, s.w, s.cin, s.lo_h, s.lo_w, s.oh, s.ow);
  const Tiling out =
      gradient ? tiling(s.h, s.w, s.cin, 0, 0, s.h, s.w) : tiling(s.oh, s.ow, s.cout, 0, 0, s.oh, s.ow);
  const std::int64_t depth = (in.channels + run.terms - 1) / run.terms;
  const std::int64_t panels = (out.channels + run.columns - 1) / run.columns;
  const std::int64_t panel = kPoints * depth * run.columns;
  const std::int64_t row = row_of(rounded_up(in.channels, run.vector) / run.terms);
  const Chunks blocks{tiles_of(s, out), tiles_at_once(), run.rows};
  const std::int64_t plane = blocks.end(0) * row + kApart;

  /// Twice the words of a panel of the filters, with which they share a 1 MiB L2 cache. But each block reads
  /// all filters once, and there should be blocks for many threads.
  std::int64_t tiles_at_once() const {
    constexpr std::int64_t kLeast = 48 * 1024, kMost = 144 * 1024, kBlocks = 32;
    const std::int64_t words = std::clamp(2 * panel, kLeast, kMost);
    const std::int64_t fit = words / (kPoints * row) / run.rows * run.rows;
    const std::int64_t shared = rounded_up((tiles_of(s, out) + kBlocks - 1) / kBlocks, run.rows);
    return std::max(std::min(fit, std::max(shared, 4 * run.rows)), run.rows);
  }

  std::size_t zeros() const { return bytes_of(in.channels); }
  ConvMemory memory() const { return {bytes_of(kPoints * plane), bytes_of(panels * panel) + zeros()}; }

  void operator()(const void* from, const void* filters, void* to) const {
    const Scratch::Piece whole(whole_scratch(), memory().whole);
    auto* const turned = whole.as<float>();
    void* const zero = whole.after<void>(bytes_of(panels * panel));
    std::memset(zero, 0, zeros());
    const bool past_caches = exceeds_caches(s.n * out.h * out.w * out.channels * std::int64_t(size_of(c.to)));
    const FilterView view{.filters = filters,
                          .terms = in.channels,
                          .columns = out.channels,
                          .tap = s.cin * s.cout,
                          .term = gradient ? 1 : s.cout,
                          .column = gradient ? s.cout : 1,
                          .flip = gradient};
    parallel_ranges(panels, 1,
                    [&](std::int64_t begin, std::int64_t end) { run.filters(view, begin, end, turned); });
    parallel_for(blocks.count(), [&](std::int64_t block) {
      const Scratch::Piece piece(chunk_scratch(), memory().chunk);
      const Words tiles{.data = piece.as<float>(), .plane = plane, .step = row};
      const std::int64_t begin = blocks.begin(block), end = blocks.end(block);
      run.rows_of_images({in, from, zero, begin, end}, tiles);
      run.results({tiles, turned, depth, out, begin, end, to, past_caches});
    });
  }
};

/// Filters' gradients. Slices of the batch have sums of their own, so that no thread reads what another has
/// just written, until the sums are added up.
struct Filters {
  const Convolution& c;
  const Steps& run = steps(c.from, c.to);
  const ConvShape& s = c.shape;
  const Tiling images = tiling(s.h, s.w, s.cin, s.lo_h, s.lo_w, s.oh, s.ow);
  const Tiling results = tiling(s.oh, s.ow, s.cout, 0, 0, s.oh, s.ow);
  const std::int64_t panels = (s.cout + run.columns - 1) / run.columns;
  const std::int64_t ld = panels * run.columns, size = kPoints * s.cin * ld;  // of the sums
  const Chunks slices{s.n, images_of_slice()};
  const std::int64_t step = row_of(s.cin);
  const std::int64_t most = tiles_at_once(), depth = most / run.terms;
  const std::int64_t left_plane = depth * step + kApart;
  const std::int64_t right_panel = depth * run.columns, right_plane = panels * right_panel + kApart;

  /// At most 16 slices, and fewer for small images, for whose few tiles it does not pay to add up more sums.
  std::int64_t images_of_slice() const {
    const std::int64_t tiles = results.down * results.across, least = size > kWords ? 1000 : 100;
    return std::max(filter_slices(s.n).end(0), (least + tiles - 1) / tiles);
  }

  /// As many as fill half of a 1 MiB L2 cache. Where the sums do not fit into it either, they are read and
  /// written for each of these pieces, so the piece is as large.
  static constexpr std::int64_t kWords = 128 * 1024;
  std::int64_t tiles_at_once() const {
    constexpr std::int64_t kAlign = 16;
    const std::int64_t fit = std::max(kWords, size) * run.terms / (kPoints * (step + ld));
    const std::int64_t all = slices.end(0) * results.down * results.across;
    return rounded_up(std::min(std::max(fit / kAlign * kAlign, kAlign), all), kAlign);
  }

  std::size_t left() const { return bytes_of(kPoints * left_plane); }
  std::size_t right() const { return bytes_of(kPoints * right_plane); }
  std::size_t zeros() const { return bytes_of(std::max(s.cin, s.cout)); }
  std::size_t sums() const { return bytes_of(size * slices.count()); }
  ConvMemory memory() const { return {left() + right(), sums() + zeros()}; }

  void operator()(const void* x, const void* g, void* to) const {
    const Scratch::Piece whole(whole_scratch(), memory().whole);
    auto* const sum = whole.as<float>();
    void* const zero = whole.after<void>(sums());
    std::memset(zero, 0, zeros());
    parallel_for(slices.count(), [&](std::int64_t slice) {
      const Scratch::Piece piece(chunk_scratch(), memory().chunk);
      const Words of_images{
          .data = piece.as<float>(), .plane = left_plane, .step = step, .panel = run.columns};
      const Words of_results{.data = piece.after<float>(left()),
                             .plane = right_plane,
                             .step = run.columns,
                             .panel = right_panel};
      const std::int64_t tiles = results.down * results.across, last = slices.end(slice) * tiles;
      const std::int64_t first = slices.begin(slice) * tiles;
      for (std::int64_t begin = first; begin < last; begin += most) {
        const std::int64_t end = std::min(begin + most, last);
        run.terms_of_images({images, x, zero, begin, end}, of_images);
        run.terms_of_results({results, g, zero, begin, end}, of_results);
        for (std::int64_t point = 0; point < kPoints; ++point) {
          run.sum_terms({.left = of_images.data + point * left_plane,
                         .left_step = step,
                         .right = of_results.data + point * right_plane,
                         .right_panel = right_panel,
                         .depth = (end - begin + run.terms - 1) / run.terms,
                         .sums = sum + slice * size + point * s.cin * ld,
                         .rows = s.cin,
                         .columns = s.cout,
                         .ld = ld,
                         .add = begin > first});
        }
      }
    });
    add_up(sum, sum + size, size, slices.count(), size);
    parallel_ranges(s.cin, std::max<std::int64_t>(4096 / s.cout, 1),
                    [&](std::int64_t begin, std::int64_t end) {
                      run.filter_gradients({sum, s.cin, s.cout, ld, to, begin, end});
                    });
  }
};

}  // namespace

Winograd winograd_use() { return use(); }
void use_winograd(Winograd value) { use() = value; }

void convolve_winograd(const Convolution& c, const void* a, const void* b, void* to) {
  c.part == ConvPart::filters ? Filters{c}(a, b, to) : Forward{c}(a, b, to);
}

ConvMemory winograd_memory(const Convolution& c) {
  return c.part == ConvPart::filters ? Filters{c}.memory() : Forward{c}.memory();
}

}  // namespace tapestry::kernels
