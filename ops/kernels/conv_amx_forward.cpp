#include <tapestry/ops/kernels/conv_amx_steps.hpp>

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)

#include <hwy/base.h>

HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

#include <tapestry/ops/kernels/conv_amx-inl.hpp>

namespace tapestry::kernels::conv_amx {
namespace {

/// A row of sources as [pixel][terms / 32] tiles, an image a row.
void pack_row(const ForwardBlock& b, std::int64_t row, std::byte* to) {
  const std::int64_t depth = pieces(b.terms, kTileTerms), pixels = b.across.sources;
  const std::int64_t image = b.down.sources * b.row.size;
  for (std::int64_t i = 0; i < b.images; ++i) {
    const bf16* const from = b.from + i * image + row * b.row.size;
    const std::int64_t later = i + 2 < b.images ? 2 * image : 0;  // whose rows are fetched meanwhile
    std::byte* tile = to + i * 64;
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (std::int64_t k = 0; k < depth; ++k, tile += kTileBytes) {
        const Terms terms(b.row, pixel, k * kTileTerms, b.terms);
        _mm_prefetch(from + terms.at + later, _MM_HINT_T0);
        _mm512_store_si512(tile, load_halves(from + terms.at, terms.begin, terms.end));
      }
    }
  }
  for (std::int64_t i = b.images; i < kTileRows; ++i)
    for (std::int64_t tile = 0; tile < pixels * depth; ++tile)
      _mm512_store_si512(to + tile * kTileBytes + i * 64, _mm512_setzero_si512());
}

template <class Tiles, class To>
class Forward {
 public:
  explicit Forward(const ForwardBlock& block)
      : b(block),
        past_caches_(b.past_caches && b.columns % 32 == 0 &&
                     reinterpret_cast<std::uintptr_t>(b.to) % 64 == 0) {}

  void run() {
    std::int64_t next = 0;  // the first row of sources that is not packed yet
    for (std::int64_t y = b.begin; y < b.end; ++y) {
      for (next = std::max(next, b.down.first(y)); next <= b.down.last(y); ++next)
        pack_row(b, next, packed(next));
      const TilePairs pairs(b.columns);
      const std::byte* filters = b.filters;
      for (std::int64_t pair = 0; pair < pairs.count; ++pair) {
        if (pairs.width(pair) == 2) {
          row<2>(y, pair, filters);
        } else {
          row<1>(y, pair, filters);
        }
        filters += b.down.taps * b.across.taps * depth_ * pairs.width(pair) * kTileBytes;
      }
    }
    if (past_caches_) _mm_sfence();
  }

 private:
  std::byte* packed(std::int64_t row) const { return b.rows + row % b.down.span() * row_; }

  /// A row of targets two by two: those next to one another take from neighbours.
  template <int kColumns>
  void row(std::int64_t y, std::int64_t pair, const std::byte* filters) {
    const std::int64_t apart = b.across.targets_apart(), targets = b.across.targets;
    for (std::int64_t phase = 0; phase < std::min(apart, targets); ++phase)
      for (std::int64_t x = phase; x < targets; x += 2 * apart)
        two_targets<kColumns>(y, x, x + apart < targets ? x + apart : -1, pair, filters);
  }

  template <int kColumns>
  void two_targets(std::int64_t y, std::int64_t x0, std::int64_t x1, std::int64_t pair,
                   const std::byte* filters) {
    each_sum<3, kColumns>([&]<int kTile>() { tiles_.template zero<kTile>(); });
    const std::int64_t tap_bytes = depth_ * kColumns * kTileBytes, pixel = depth_ * kTileBytes;
    for (std::int64_t i = 0; i < b.down.taps; ++i) {
      const std::int64_t source = b.down.source(y, i);
      if (source < 0) {
        filters += b.across.taps * tap_bytes;
        continue;
      }
      const std::byte* const row = packed(source);
      for (std::int64_t j = 0; j < b.across.taps; ++j, filters += tap_bytes) {
        const std::int64_t s0 = b.across.source(x0, j), s1 = x1 < 0 ? -1 : b.across.source(x1, j);
        const std::byte *left0 = row + s0 * pixel, *left1 = row + s1 * pixel;
        if (s0 >= 0 && s1 >= 0) {
          add_tile_products<3, kColumns>(tiles_, left0, left1, kTileBytes, filters, depth_);
        } else if (s0 >= 0) {
          add_tile_products<1, kColumns>(tiles_, left0, left0, kTileBytes, filters, depth_);
        } else if (s1 >= 0) {
          add_tile_products<2, kColumns>(tiles_, left1, left1, kTileBytes, filters, depth_);
        }
      }
    }
    alignas(64) float sums[4][kTileFloats];
    each_sum<3, kColumns>([&]<int kTile>() { tiles_.template store<kTile>(sums[kTile]); });
    const std::int64_t column = pair * 2 * kTileColumns,
                       count = std::min<std::int64_t>(b.columns - column, 32);
    const std::int64_t image = b.down.targets * b.across.targets * b.columns;
    for (int target = 0; target < (x1 < 0 ? 1 : 2); ++target) {
      To* to = static_cast<To*>(b.to) + (y * b.across.targets + (target == 0 ? x0 : x1)) * b.columns + column;
      if (count < 32) {
        store_rows<Store::some>(sums[2 * target], b.images, count, to, image);
      } else if (past_caches_) {
        store_rows<Store::past_caches>(sums[2 * target], b.images, count, to, image);
      } else {
        store_rows<Store::all>(sums[2 * target], b.images, count, to, image);
      }
    }
  }

  const ForwardBlock& b;
  Tiles tiles_;
  const bool past_caches_;
  const std::int64_t depth_ = pieces(b.terms, kTileTerms);
  const std::int64_t row_ = row_bytes(b.across.sources, b.terms);
};

}  // namespace

void pack_filters(const FilterView& f, std::int64_t panel, std::byte* to) {
  const TilePairs pairs(f.columns);
  const std::int64_t depth = pieces(f.terms, kTileTerms), width = pairs.width(panel);
  auto* at = reinterpret_cast<bf16*>(to + panel * 2 * f.taps * depth * kTileBytes);
  for (std::int64_t tap = 0; tap < f.taps; ++tap) {
    for (std::int64_t k = 0; k < depth; ++k) {
      for (std::int64_t tile = 0; tile < width; ++tile, at += kTileHalves) {
        const std::int64_t term = k * kTileTerms, column = (panel * 2 + tile) * kTileColumns;
        const std::int64_t terms = std::min(kTileTerms, f.terms - term);
        const std::int64_t columns = std::min(kTileColumns, f.columns - column);
        if (terms < kTileTerms || columns < kTileColumns) std::fill_n(at, kTileHalves, bf16());
        const bf16* const from = f.filters + tap * f.tap + term * f.term + column * f.column;
        for (std::int64_t i = 0; i < terms; ++i)
          for (std::int64_t j = 0; j < columns; ++j)
            at[i / 2 * 32 + 2 * j + i % 2] = from[i * f.term + j * f.column];
      }
    }
  }
}

void forward(const ForwardBlock& b, DType to) {
  with_tiles([&]<class Tiles>() {
    if (to == DType::f32) {
      Forward<Tiles, float>(b).run();
    } else {
      Forward<Tiles, bf16>(b).run();
    }
  });
}

}  // namespace tapestry::kernels::conv_amx

HWY_POP_ATTRIBUTES

#else

namespace tapestry::kernels::conv_amx {

void pack_filters(const FilterView&, std::int64_t, std::byte*) {}
void forward(const ForwardBlock&, DType) {}

}  // namespace tapestry::kernels::conv_amx

#endif
