// What the steps of AMX convolutions share. To be included where AVX512-BF16 may be used.
#pragma once

#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/amx_tiles-inl.hpp>

#include <algorithm>

namespace tapestry::kernels::conv_amx {

inline std::int64_t pieces(std::int64_t size, std::int64_t piece) { return (size + piece - 1) / piece; }

/// Tiles are multiplied two by two, but for the last where there is an odd number of them.
struct Pairs {
  std::int64_t tiles, count;
  explicit Pairs(std::int64_t columns) : tiles(pieces(columns, kTileColumns)), count(pieces(tiles, 2)) {}
  std::int64_t width(std::int64_t pair) const { return std::min<std::int64_t>(tiles - 2 * pair, 2); }
};

/// 32 bf16 at `from`, of which there are `count`, the others 0.
inline __m512i load_halves(const bf16* from, std::int64_t count) {
  if (count >= 32) return _mm512_loadu_si512(from);
  return _mm512_maskz_loadu_epi16(__mmask32((std::uint64_t{1} << std::max<std::int64_t>(count, 0)) - 1),
                                  from);
}

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
