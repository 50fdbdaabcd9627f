// What the steps of AMX convolutions share. To be included where AVX512-BF16 may be used.
#pragma once

#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/amx_tiles-inl.hpp>
#include <tapestry/ops/kernels/conv_amx_steps.hpp>

#include <algorithm>

namespace tapestry::kernels::conv_amx {

inline std::int64_t pieces(std::int64_t size, std::int64_t piece) { return (size + piece - 1) / piece; }

/// Tiles are multiplied two by two, but for the last where there is an odd number of them.
struct Pairs {
  std::int64_t tiles, count;
  explicit Pairs(std::int64_t columns) : tiles(pieces(columns, kTileColumns)), count(pieces(tiles, 2)) {}
  std::int64_t width(std::int64_t pair) const { return std::min<std::int64_t>(tiles - 2 * pair, 2); }
};

/// Elements [begin, end) of the 32 at `from`, the others 0.
inline __m512i load_halves(const bf16* from, std::int64_t begin, std::int64_t end) {
  if (begin <= 0 && end >= 32) return _mm512_loadu_si512(from);
  const auto below = [](std::int64_t n) {
    return (std::uint64_t{1} << std::clamp<std::int64_t>(n, 0, 32)) - 1;
  };
  return _mm512_maskz_loadu_epi16(__mmask32(below(end) & ~below(begin)), from);
}

/// 32 terms of a pixel, from `term` on: where they are in the row, and those of them that are there.
struct Terms {
  std::int64_t at, begin, end;
  Terms(const SourceRow& row, std::int64_t pixel, std::int64_t term, std::int64_t terms)
      : at(row.first + pixel * row.step + term), begin(-at), end(std::min(terms - term, row.size - at)) {}
};

/// Calls f<Tiles>() with those in use.
template <class F>
void with_tiles(const F& f) {
  if (amx_use() == Amx::emulated) {
    f.template operator()<EmulatedTiles>();
  } else {
    f.template operator()<AmxTiles>();
  }
}

}  // namespace tapestry::kernels::conv_amx
