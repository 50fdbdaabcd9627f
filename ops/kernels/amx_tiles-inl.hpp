// The eight tile registers, and the same in memory. To be included where AVX512-BF16 may be used
// (HWY_PUSH_ATTRIBUTES). A tile is 16 rows of 64 bytes: 16 f32, or 32 bf16.
//
// A product of tiles adds to sums[m][n] the products left[m][k] right[k][n] of 32 terms k. `left` has a row
// for each m; `right` one for each pair of terms, (right[2 i][n], right[2 i + 1][n]) for each n.
#pragma once

#include <tapestry/core/dtype.hpp>

#include <cstdint>
#include <cstring>

#include <immintrin.h>

// GCC 12 takes what its own intrinsics leave undefined on purpose for a mistake (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace tapestry::kernels {

inline constexpr std::int64_t kTileRows = 16, kTileTerms = 32, kTileColumns = 16;
inline constexpr std::int64_t kTileBytes = 1024, kTileHalves = kTileBytes / 2, kTileFloats = kTileBytes / 4;

/// The thread's tile registers, until its end. Named by the assembler, for compilers have no intrinsics whose
/// register is a template's argument.
class AmxTiles {
 public:
  AmxTiles() {
    struct alignas(64) {
      std::uint8_t palette = 1, start = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const configuration;
    asm volatile("ldtilecfg %0" : : "m"(configuration));
  }
  ~AmxTiles() { asm volatile("tilerelease"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  template <int kTile>
  void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  template <int kTile>
  void load(const void* from) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(std::int64_t{64}), "i"(kTile) : "memory");
  }
  template <int kTile>
  void store(void* to) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(std::int64_t{64}), "i"(kTile) : "memory");
  }
  template <int kSums, int kLeft, int kRight>
  void add_products() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kLeft), "i"(kRight));
  }
};

/// What AmxTiles does, but that it adds in another order.
class EmulatedTiles {
 public:
  template <int kTile>
  void zero() {
    std::memset(tiles_[kTile], 0, kTileBytes);
  }
  template <int kTile>
  void load(const void* from) {
    std::memcpy(tiles_[kTile], from, kTileBytes);
  }
  template <int kTile>
  void store(void* to) {
    std::memcpy(to, tiles_[kTile], kTileBytes);
  }
  template <int kSums, int kLeft, int kRight>
  void add_products() {
    for (int m = 0; m < 16; ++m) {
      __m512 sum = _mm512_loadu_ps(tiles_[kSums][m]);
      for (int pair = 0; pair < 16; ++pair) {
        std::int32_t left;
        std::memcpy(&left, &tiles_[kLeft][m][pair], 4);
        sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(left),
                               (__m512bh)_mm512_loadu_ps(tiles_[kRight][pair]));
      }
      _mm512_storeu_ps(tiles_[kSums][m], sum);
    }
  }

 private:
  float tiles_[8][16][16];
};

/// Calls f<tile>() for the tiles of the sums of kRows by kColumns tiles: see add_tile_products().
template <int kRows, int kColumns, class F>
inline __attribute__((always_inline)) void each_sum(const F& f) {
  f.template operator()<0>();
  if constexpr (kColumns == 2) f.template operator()<1>();
  if constexpr (kRows & 2) f.template operator()<2>();
  if constexpr (kRows & 2 && kColumns == 2) f.template operator()<3>();
}

/// Calls f<rows, columns>() for one or two tiles of each, as add_tile_products() counts them.
template <class F>
inline void with_sums(std::int64_t rows, std::int64_t columns, const F& f) {
  if (rows == 2) {
    columns == 2 ? f.template operator()<3, 2>() : f.template operator()<3, 1>();
  } else {
    columns == 2 ? f.template operator()<1, 2>() : f.template operator()<1, 1>();
  }
}

/// sums (two tiles by kColumns) += two left tiles by kColumns right ones, `count` times; the tiles of a step
/// follow one another, those of the left operand `left_step` bytes from step to step. The sums are in tiles
/// 0 to 3, row after row. Two by two tiles are two loads fewer than products.
template <int kRows, int kColumns, class Tiles>
inline __attribute__((always_inline)) void add_tile_products(Tiles& tiles, const std::byte* left0,
                                                             const std::byte* left1, std::int64_t left_step,
                                                             const std::byte* right, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (kRows & 1) tiles.template load<4>(left0);
    tiles.template load<6>(right);
    if constexpr (kColumns == 2) tiles.template load<7>(right + kTileBytes);
    if constexpr (kRows & 2) tiles.template load<5>(left1);
    if constexpr (kRows & 1) tiles.template add_products<0, 4, 6>();
    if constexpr (kRows & 1 && kColumns == 2) tiles.template add_products<1, 4, 7>();
    if constexpr (kRows & 2) tiles.template add_products<2, 5, 6>();
    if constexpr (kRows & 2 && kColumns == 2) tiles.template add_products<3, 5, 7>();
    left0 += left_step;
    left1 += left_step;
    right += kColumns * kTileBytes;
  }
}

}  // namespace tapestry::kernels
