// Packing for AMX and storing what it made: what convolutions and matrix products share. To be included where
// AVX512-BF16 may be used (HWY_PUSH_ATTRIBUTES).
#pragma once

#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/amx_tiles-inl.hpp>

#include <algorithm>

namespace tapestry::kernels {

inline std::int64_t pieces(std::int64_t size, std::int64_t piece) { return (size + piece - 1) / piece; }

/// Tiles are multiplied two by two, but for the last where there is an odd number of them.
struct TilePairs {
  std::int64_t tiles, count;
  explicit TilePairs(std::int64_t columns) : tiles(pieces(columns, kTileColumns)), count(pieces(tiles, 2)) {}
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

/// Calls f<Tiles>() with those in use.
template <class F>
void with_tiles(const F& f) {
  if (amx_use() == Amx::emulated) {
    f.template operator()<EmulatedTiles>();
  } else {
    f.template operator()<AmxTiles>();
  }
}

// Of two rows of 32 words, unpacking leaves pairs of the columns 0 to 3, 8 to 11, 16 to 19, 24 to 27 in the
// lower half and of the others in the upper one.
constexpr std::int64_t unpacked_column(std::int64_t place) {
  return place % 16 / 4 * 8 + place / 16 * 4 + place % 4;
}

/// Rows of dwords as columns.
inline void transpose(__m512i (&x)[16]) {
  __m512i y[16];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; ++j) {
      x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + 2 + j]);
      x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + 2 + j]);
    }
  }
  // Now x[4 i + j] has the columns j, 4 + j, 8 + j, 12 + j of the rows 4 i to 4 i + 3, a lane each.
  for (int j = 0; j < 4; ++j) {
    const __m512i a = _mm512_shuffle_i32x4(x[j], x[4 + j], 0x88),
                  b = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(x[j], x[4 + j], 0xdd),
                  d = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0xdd);
    y[j] = _mm512_shuffle_i32x4(a, b, 0x88);
    y[8 + j] = _mm512_shuffle_i32x4(a, b, 0xdd);
    y[4 + j] = _mm512_shuffle_i32x4(c, d, 0x88);
    y[12 + j] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
  for (int i = 0; i < 16; ++i) x[i] = y[i];
}

/// Up to 32 terms of a sum, each a row of up to 32 columns `stride` elements after the one before.
struct TermRows {
  const bf16* from;
  std::int64_t stride, terms, columns, begin, end;  // columns of [begin, end) are there
  __m512i operator[](std::int64_t i) const {
    return i < terms ? load_halves(from + i * stride, begin, end) : _mm512_setzero_si512();
  }
};

/// Those that are all there.
struct AllTermRows {
  const bf16* from;
  std::int64_t stride;
  static constexpr std::int64_t columns = 32;
  __m512i operator[](std::int64_t i) const { return _mm512_loadu_si512(from + i * stride); }
};

/// As left tiles, a row for each column: one tile, or two if there are more than 16 columns.
template <class Rows>
inline void pack_left(const Rows& rows, std::byte* to) {
  for (int half = 0; half < 2; ++half) {
    __m512i x[16];
    for (int pair = 0; pair < 16; ++pair) {
      const __m512i a = rows[2 * pair], b = rows[2 * pair + 1];
      x[pair] = half == 0 ? _mm512_unpacklo_epi16(a, b) : _mm512_unpackhi_epi16(a, b);
    }
    transpose(x);
    for (int i = 0; i < 16; ++i) {
      const std::int64_t column = unpacked_column(half * 16 + i);
      if (column < 16 || rows.columns > 16) _mm512_store_si512(to + column * 64, x[i]);
    }
  }
}

/// How a row of up to 32 sums is stored: any number of them, or all 32, a cache line of bf16.
enum class Store : std::uint8_t { some, all, past_caches };

template <Store kStore>
inline void store_row(__m512 first, __m512 second, std::int64_t count, float* to) {
  const auto mask = [](std::int64_t n) { return __mmask16((1u << std::clamp<std::int64_t>(n, 0, 16)) - 1); };
  _mm512_mask_storeu_ps(to, kStore == Store::some ? mask(count) : mask(16), first);
  if (kStore != Store::some || count > 16)
    _mm512_mask_storeu_ps(to + 16, kStore == Store::some ? mask(count - 16) : mask(16), second);
}
template <Store kStore>
inline void store_row(__m512 first, __m512 second, std::int64_t count, bf16* to) {
  const auto both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  if constexpr (kStore == Store::some) {
    _mm512_mask_storeu_epi16(to, __mmask32((std::uint64_t{1} << count) - 1), both);
  } else if constexpr (kStore == Store::past_caches) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), both);
  } else {
    _mm512_storeu_si512(to, both);
  }
}

/// The rows of two tiles, `stride` elements apart. Few instructions: the next products are to be found among
/// them.
template <Store kStore, class To>
inline __attribute__((always_inline)) void store_rows(const float* sums, std::int64_t rows,
                                                      std::int64_t count, To* to, std::int64_t stride) {
  if (rows == kTileRows) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i, to += stride)
      store_row<kStore>(_mm512_load_ps(sums + i * 16), _mm512_load_ps(sums + kTileFloats + i * 16), count,
                        to);
  } else {
    for (std::int64_t i = 0; i < rows; ++i, to += stride)
      store_row<kStore>(_mm512_load_ps(sums + i * 16), _mm512_load_ps(sums + kTileFloats + i * 16), count,
                        to);
  }
}

}  // namespace tapestry::kernels
