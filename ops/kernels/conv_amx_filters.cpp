#include <tapestry/ops/kernels/conv_amx_steps.hpp>

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)

#include <hwy/base.h>

HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

#include <tapestry/ops/kernels/conv_amx-inl.hpp>

namespace tapestry::kernels::conv_amx {
namespace {

// Terms of a sum are images here: those of one pixel, its columns channels.

/// As right tiles, of columns as unpacking leaves them. One tile's are two halves of half as many.
void pack_right(const TermRows& pixel, std::byte* to) {
  for (int pair = 0; pair < 16; ++pair, to += 64) {
    const __m512i a = pixel[2 * pair], b = pixel[2 * pair + 1];
    const __m512i low = _mm512_unpacklo_epi16(a, b), high = _mm512_unpackhi_epi16(a, b);
    if (pixel.columns > 16) {
      _mm512_store_si512(to, low);
      _mm512_store_si512(to + kTileBytes, high);
    } else {
      _mm512_store_si512(to, _mm512_inserti64x4(low, _mm512_castsi512_si256(high), 1));
    }
  }
}
/// The channel of a column of a pair of tiles, or of the one there is.
std::int64_t channel_of_column(std::int64_t column, std::int64_t tiles) {
  return tiles == 2 ? unpacked_column(column) : unpacked_column(column / 8 * 16 + column % 8);
}

template <class Tiles>
class Filters {
 public:
  explicit Filters(const FilterBlock& block) : b(block) {}

  void run() {
    const std::int64_t images = b.groups * kTileTerms;
    bool first = true;
    for (std::int64_t image = 0; image < b.count; image += images) {
      const std::int64_t count = std::min(images, b.count - image);
      std::int64_t next = 0;  // the first row of images that is not packed yet
      for (std::int64_t y = b.begin; y < b.end; y += b.rows, first = false) {
        const std::int64_t end = std::min(y + b.rows, b.end);
        pack_images(image, count, y, end, next);
        pack_results(image, count, y, end);
        add(pieces(count, kTileTerms), y, end, first);
      }
    }
  }

 private:
  template <class Pack>
  static void pack_row(const SourceRow& row, const bf16* from, std::int64_t image, std::int64_t images,
                       std::int64_t pixels, std::int64_t channels, std::byte* to, std::int64_t pair_bytes,
                       const Pack& pack) {
    const TilePairs pairs(channels);
    constexpr std::int64_t kAhead = 4 * 32;  // channels, or those of later pixels: a few pairs of tiles
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (std::int64_t pair = 0; pair < pairs.count; ++pair) {
        const Terms terms(row, pixel, pair * 32, channels);
        const bf16* const at = from + terms.at;
        for (std::int64_t i = 0; i < images; ++i) _mm_prefetch(at + i * image + kAhead, _MM_HINT_T0);
        pack(TermRows{at, image, images, channels - pair * 32, terms.begin, terms.end},
             to + pair * pair_bytes + pixel * pairs.width(pair) * kTileBytes);
      }
    }
  }

  // Packed rows are [pair][group][row][pixel][tile]; where the last pair is of one tile, half of a row is
  // left empty.
  void pack_images(std::int64_t image, std::int64_t count, std::int64_t y, std::int64_t end,
                   std::int64_t& next) {
    const std::int64_t size = b.row.size;
    for (next = std::max(next, b.down.first(y)); next <= b.down.last(end - 1); ++next) {
      for (std::int64_t group = 0; group * kTileTerms < count; ++group)
        pack_row(b.row, b.images + ((image + group * kTileTerms) * b.down.sources + next) * size,
                 b.down.sources * size, std::min(count - group * kTileTerms, kTileTerms), b.across.sources,
                 b.cin, left(0, group, next), left_pair_, pack_left<TermRows>);
    }
  }
  void pack_results(std::int64_t image, std::int64_t count, std::int64_t y, std::int64_t end) {
    const std::int64_t size = b.across.targets * b.cout;
    for (std::int64_t row = y; row < end; ++row) {
      for (std::int64_t group = 0; group * kTileTerms < count; ++group)
        pack_row({size, 0, b.cout}, b.results + ((image + group * kTileTerms) * b.down.targets + row) * size,
                 b.down.targets * size, std::min(count - group * kTileTerms, kTileTerms), b.across.targets,
                 b.cout, right(0, group, row - y), right_pair_, pack_right);
    }
  }
  std::byte* left(std::int64_t pair, std::int64_t group, std::int64_t row) const {
    return b.left + pair * left_pair_ + (group * ring_ + row % ring_) * b.across.sources * kPair;
  }
  std::byte* right(std::int64_t pair, std::int64_t group, std::int64_t row) const {
    return b.right + pair * right_pair_ + (group * b.rows + row) * b.across.targets * kPair;
  }

  void add(std::int64_t groups, std::int64_t y, std::int64_t end, bool first) {
    float* sums = b.sums;
    for (std::int64_t i = 0; i < left_pairs_.count; ++i) {
      for (std::int64_t j = 0; j < right_pairs_.count; ++j) {
        for (std::int64_t tap = 0; tap < b.down.taps * b.across.taps; ++tap, sums += 4 * kTileFloats) {
          const Place place{i, j, tap / b.across.taps, tap % b.across.taps, groups, y, end, first, sums};
          with_sums(left_pairs_.width(i), right_pairs_.width(j),
                    [&]<int kRows, int kColumns>() { add_tap<kRows, kColumns>(place); });
        }
      }
    }
  }

  struct Place {
    std::int64_t i, j, tap_down, tap_across, groups, y, end;
    bool first;
    float* sums;
  };
  template <int kRows, int kColumns>
  void add_tap(const Place& p) {
    if (p.first) {
      // Those that there are no tiles for are added up with the others.
      if (kRows != 3 || kColumns != 2) std::memset(p.sums, 0, 4 * kTileBytes);
      each_sum<kRows, kColumns>([&]<int kTile>() { tiles_.template zero<kTile>(); });
    } else {
      each_sum<kRows, kColumns>(
          [&]<int kTile>() { tiles_.template load<kTile>(p.sums + kTile * kTileFloats); });
    }
    // The results whose tap lies inside: a range, for sources grow with targets.
    std::int64_t x = 0, x_end = b.across.targets;
    while (x < x_end && b.across.source(x, p.tap_across) < 0) ++x;
    while (x < x_end && b.across.source(x_end - 1, p.tap_across) < 0) --x_end;
    if (x < x_end) {
      constexpr std::int64_t kWidth = kRows & 2 ? 2 : 1;
      const std::int64_t source = b.across.source(x, p.tap_across);
      for (std::int64_t group = 0; group < p.groups; ++group) {
        for (std::int64_t row = p.y; row < p.end; ++row) {
          const std::int64_t from = b.down.source(row, p.tap_down);
          if (from < 0) continue;
          const std::byte* const images = left(p.i, group, from) + source * kWidth * kTileBytes;
          const std::byte* const results = right(p.j, group, row - p.y) + x * kColumns * kTileBytes;
          add_tile_products<kRows, kColumns>(tiles_, images, images + kTileBytes,
                                             b.across.stride * kWidth * kTileBytes, results, x_end - x);
        }
      }
    }
    each_sum<kRows, kColumns>(
        [&]<int kTile>() { tiles_.template store<kTile>(p.sums + kTile * kTileFloats); });
  }

  const FilterBlock& b;
  Tiles tiles_;
  const TilePairs left_pairs_{b.cin}, right_pairs_{b.cout};
  const std::int64_t ring_ = packed_rows(b.down, b.rows);
  const std::int64_t left_pair_ = kPair * b.across.sources * ring_ * b.groups;
  const std::int64_t right_pair_ = kPair * b.across.targets * b.rows * b.groups;
};

template <class To>
void write_gradients(const FilterSums& s) {
  const TilePairs right(s.cout);
  for (std::int64_t tap = s.begin; tap < s.end; ++tap) {
    for (std::int64_t row = 0; row < s.cin; ++row) {
      To* const to = static_cast<To*>(s.filters) + (tap * s.cin + row) * s.cout;
      for (std::int64_t j = 0; j < right.count; ++j) {
        const float* const from = s.sums + ((row / 32 * right.count + j) * s.taps + tap) * 4 * kTileFloats +
                                  row % 32 / 16 * 2 * kTileFloats + row % 16 * kTileColumns;
        for (std::int64_t column = 0; column < right.width(j) * kTileColumns; ++column) {
          const std::int64_t channel = j * 32 + channel_of_column(column, right.width(j));
          if (channel < s.cout) to[channel] = To(from[column / 16 * kTileFloats + column % 16]);
        }
      }
    }
  }
}

}  // namespace

void add_filters(const FilterBlock& b) {
  with_tiles([&]<class Tiles>() { Filters<Tiles>(b).run(); });
}

void filter_gradients(const FilterSums& s, DType to) {
  to == DType::f32 ? write_gradients<float>(s) : write_gradients<bf16>(s);
}

}  // namespace tapestry::kernels::conv_amx

HWY_POP_ATTRIBUTES

#else

namespace tapestry::kernels::conv_amx {

void add_filters(const FilterBlock&) {}
void filter_gradients(const FilterSums&, DType) {}

}  // namespace tapestry::kernels::conv_amx

#endif
