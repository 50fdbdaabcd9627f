#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/gemm_amx.hpp>

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)

#include <hwy/base.h>

namespace tapestry::kernels {
namespace {

// At most so many rows, columns and terms are packed at a time: what they take together with their sums
// should stay in L2.
constexpr std::int64_t kMostRows = 512, kMostColumns = 512;
constexpr std::int64_t kMostTerms = 512;
constexpr std::int64_t kTilesWanted = 2;  // more would each pack the same again
constexpr std::int64_t kAhead = 8;        // rows, or halves of cache lines, that are fetched ahead

constexpr std::int64_t kSliced = 256 * 512;  // elements of which slices are cheap to add up

std::int64_t aligned(std::int64_t size) { return (size + 31) / 32 * 32; }

/// Where a tile's operands are packed and its sums are kept.
struct Memory {
  std::byte *left, *right;
  float* sums;
  std::size_t bytes;
  Memory(std::int64_t m, std::int64_t n, std::int64_t k, std::byte* at) {
    const std::int64_t terms = std::min(aligned(k), aligned(kMostTerms));
    const std::int64_t left_bytes = aligned(m) * terms * 2, right_bytes = aligned(n) * terms * 2;
    left = at;
    right = at + left_bytes;
    sums = reinterpret_cast<float*>(right + right_bytes);
    bytes = std::size_t(left_bytes + right_bytes + (k > terms ? aligned(m) * aligned(n) * 4 : 0));
  }
};

}  // namespace
}  // namespace tapestry::kernels

HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")

#include <tapestry/ops/kernels/amx_pack-inl.hpp>

namespace tapestry::kernels {
namespace {

/// Two rows of words as pairs of them.
inline void interleave(__m512i a, __m512i b, __m512i& first, __m512i& second) {
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  a = _mm512_permutexvar_epi64(order, a);
  b = _mm512_permutexvar_epi64(order, b);
  first = _mm512_unpacklo_epi16(a, b);
  second = _mm512_unpackhi_epi16(a, b);
}

/// One tile of a product. Packed operands are pairs of tiles' rows or columns, each [step][tile], a step 32
/// terms.
template <class Tiles, class To>
class Product {
 public:
  Product(Tiles& tiles, const GemmTile& tile, const bf16* a, const bf16* b, To* c, std::byte* memory)
      : tiles_(tiles), t(tile), a_(a), b_(b), c_(c), memory_(tile.m, tile.n, tile.k, memory) {}

  void run() {
    const Chunks blocks(t.k, kMostTerms, kTileTerms);
    for (std::int64_t i = 0; i < blocks.count(); ++i) {
      first_ = i == 0;
      last_ = i + 1 == blocks.count();
      begin_ = blocks.begin(i);
      terms_ = blocks.end(i) - begin_;
      steps_ = pieces(terms_, kTileTerms);
      t.transpose_b ? pack_columns_right() : pack_rows_right();
      t.transpose_a ? pack_columns_left() : pack_rows_left();
      multiply();
    }
  }

 private:
  std::byte* left(std::int64_t pair) const { return memory_.left + pair * 2 * steps_ * kTileBytes; }
  std::byte* right(std::int64_t pair) const { return memory_.right + pair * 2 * steps_ * kTileBytes; }

  void pack_rows_left() {
    for (std::int64_t pair = 0; pair < rows_.count; ++pair) {
      const std::int64_t width = rows_.width(pair) * kTileBytes, whole = terms_ / kTileTerms;
      for (std::int64_t i = 0; i < rows_.width(pair) * kTileRows; ++i) {
        const std::int64_t row = pair * 32 + i;
        const bf16* from = a_ + row * t.lda + begin_;
        std::byte* to = left(pair) + i * 64;
        if (row >= t.m) {
          for (std::int64_t step = 0; step < steps_; ++step, to += width)
            _mm512_store_si512(to, _mm512_setzero_si512());
          continue;
        }
        for (std::int64_t step = 0; step < whole; ++step, to += width, from += kTileTerms)
          _mm512_store_si512(to, _mm512_loadu_si512(from));
        if (whole < steps_) _mm512_store_si512(to, load_halves(from, 0, terms_ % kTileTerms));
      }
    }
  }
  // Row after row of what is stored, for that is how it is fetched from memory.
  void pack_columns_left() {
    for (std::int64_t step = 0; step < steps_; ++step) {
      const std::int64_t term = step * kTileTerms, terms = std::min(terms_ - term, kTileTerms);
      for (std::int64_t pair = 0; pair < rows_.count; ++pair) {
        const std::int64_t columns = t.m - pair * 32;
        const bf16* const from = a_ + (begin_ + term) * t.lda + pair * 32;
        std::byte* const to = left(pair) + step * rows_.width(pair) * kTileBytes;
        for (std::int64_t i = 0; i < terms; ++i) _mm_prefetch(from + i * t.lda + kAhead * 16, _MM_HINT_T0);
        if (terms == kTileTerms && columns >= 32) {
          pack_left(AllTermRows{from, t.lda}, to);
        } else {
          pack_left(TermRows{from, t.lda, terms, columns, 0, columns}, to);
        }
      }
    }
  }
  void pack_rows_right() {
    const std::int64_t whole = t.n / 32;
    for (std::int64_t term = 0; term < steps_ * kTileTerms; term += 2) {
      const std::int64_t step = term / kTileTerms, in_tile = term % kTileTerms / 2 * 64;
      TermRows rows{b_ + (begin_ + term) * t.ldb, t.ldb, terms_ - term, t.n, 0, t.n};
      std::byte* to = memory_.right + step * 2 * kTileBytes + in_tile;
      std::int64_t pair = 0;
      __m512i first, second;
      if (term + 2 <= terms_) {
        for (; pair < whole; ++pair, rows.from += 32, to += 2 * steps_ * kTileBytes) {
          _mm_prefetch(rows.from + kAhead * t.ldb, _MM_HINT_T0);
          _mm_prefetch(rows.from + (kAhead + 1) * t.ldb, _MM_HINT_T0);
          interleave(_mm512_loadu_si512(rows.from), _mm512_loadu_si512(rows.from + t.ldb), first, second);
          _mm512_store_si512(to, first);
          _mm512_store_si512(to + kTileBytes, second);
        }
      }
      for (; pair < columns_.count; ++pair, rows.from += 32) {
        rows.columns = rows.end = t.n - pair * 32;
        to = right(pair) + step * columns_.width(pair) * kTileBytes + in_tile;
        interleave(rows[0], rows[1], first, second);
        _mm512_store_si512(to, first);
        if (rows.columns > 16) _mm512_store_si512(to + kTileBytes, second);
      }
    }
  }
  void pack_columns_right() {
    for (std::int64_t tile = 0; tile < columns_.tiles; ++tile) {
      const std::int64_t columns = t.n - tile * kTileColumns, width = columns_.width(tile / 2);
      const bf16* from = b_ + tile * kTileColumns * t.ldb + begin_;
      std::byte* to = right(tile / 2) + tile % 2 * kTileBytes;
      for (std::int64_t term = 0; term < terms_; term += kTileTerms, from += kTileTerms) {
        __m512i x[16];
        if (columns >= kTileColumns && term + kTileTerms <= terms_) {
          for (int i = 0; i < 16; ++i) x[i] = _mm512_loadu_si512(from + i * t.ldb);
        } else {
          for (int i = 0; i < 16; ++i)
            x[i] = i < columns ? load_halves(from + i * t.ldb, 0, terms_ - term) : _mm512_setzero_si512();
        }
        transpose(x);
        for (int i = 0; i < 16; ++i) _mm512_store_si512(to + i * 64, x[i]);
        to += width * kTileBytes;
      }
    }
  }

  void multiply() {
    for (std::int64_t i = 0; i < rows_.count; ++i) {
      for (std::int64_t j = 0; j < columns_.count; ++j) {
        with_sums(rows_.width(i), columns_.width(j),
                  [&]<int kRows, int kColumns>() { multiply<kRows, kColumns>(i, j); });
      }
    }
  }
  template <int kRows, int kColumns>
  void multiply(std::int64_t i, std::int64_t j) {
    if (last_) {
      // Fetched while the products are added.
      const To* to = c_ + i * 32 * t.ldc + j * 32;
      const std::int64_t rows = std::min<std::int64_t>(t.m - i * 32, 32);
      for (std::int64_t row = 0; row < rows; ++row, to += t.ldc) {
        _mm_prefetch(to, _MM_HINT_T0);
        if (sizeof(To) == 4) _mm_prefetch(to + 16, _MM_HINT_T0);
      }
    }
    float* const kept = memory_.sums + (i * columns_.count + j) * 4 * kTileFloats;
    if (first_) {
      each_sum<kRows, kColumns>([&]<int kTile>() { tiles_.template zero<kTile>(); });
    } else {
      each_sum<kRows, kColumns>(
          [&]<int kTile>() { tiles_.template load<kTile>(kept + kTile * kTileFloats); });
    }
    constexpr std::int64_t kWidth = kRows & 2 ? 2 : 1;
    add_tile_products<kRows, kColumns>(tiles_, left(i), left(i) + kTileBytes, kWidth * kTileBytes, right(j),
                                       steps_);
    if (!last_) {
      each_sum<kRows, kColumns>(
          [&]<int kTile>() { tiles_.template store<kTile>(kept + kTile * kTileFloats); });
      return;
    }
    alignas(64) float sums[4][kTileFloats];
    each_sum<kRows, kColumns>([&]<int kTile>() { tiles_.template store<kTile>(sums[kTile]); });
    const std::int64_t columns = std::min<std::int64_t>(t.n - j * 32, 32);
    for (std::int64_t tile = 0; tile < kWidth; ++tile) {
      const std::int64_t row = i * 32 + tile * kTileRows, rows = std::min(t.m - row, kTileRows);
      To* const to = c_ + row * t.ldc + j * 32;
      if (columns == 32) {
        store_rows<Store::all>(sums[2 * tile], rows, columns, to, t.ldc);
      } else {
        store_rows<Store::some>(sums[2 * tile], rows, columns, to, t.ldc);
      }
    }
  }

  Tiles& tiles_;
  const GemmTile t;
  const bf16 *a_, *b_;
  To* c_;
  const Memory memory_;
  const TilePairs rows_{t.m}, columns_{t.n};
  bool first_ = true, last_ = true;
  std::int64_t begin_ = 0, terms_ = 0, steps_ = 0;  // of the block of terms at hand
};

}  // namespace

void multiply_by_amx(const BatchTiles& tiles, std::int64_t begin, std::int64_t end, const bf16* a,
                     const bf16* b, void* c, DType to, std::byte* memory) {
  with_tiles([&]<class Tiles>() {
    Tiles registers;
    for (std::int64_t index = begin; index < end; ++index) {
      const BatchTiles::Tile tile = tiles[index];
      const auto run = [&]<class To>(To* first) {
        Product<Tiles, To>(registers, tile.shape, a + tile.a, b + tile.b, first + tile.c, memory).run();
      };
      to == DType::f32 ? run(static_cast<float*>(c)) : run(static_cast<bf16*>(c));
    }
  });
}

void add_slices(const float* sums, std::int64_t slices, std::int64_t size, std::int64_t begin,
                std::int64_t end, void* c, DType to) {
  const auto run = [&](auto* first) {
    for (std::int64_t i = begin; i < end; i += 32) {
      const std::int64_t count = std::min<std::int64_t>(end - i, 32);
      const auto mask = [&](std::int64_t n) {
        return __mmask16((1u << std::clamp<std::int64_t>(n, 0, 16)) - 1);
      };
      __m512 x = _mm512_setzero_ps(), y = x;
      for (std::int64_t slice = 0; slice < slices; ++slice) {
        const float* const from = sums + slice * size + i;
        x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask(count), from));
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask(count - 16), from + 16));
      }
      store_row<Store::some>(x, y, count, first + i);
    }
  };
  to == DType::f32 ? run(static_cast<float*>(c)) : run(static_cast<bf16*>(c));
}

}  // namespace tapestry::kernels

HWY_POP_ATTRIBUTES

// For any CPU.
namespace tapestry::kernels {

bool amx_multiplies(const GemmShape& s) {
  // For fewer rows it doesn't pay to pack the operand on the right, unless that is small.
  return amx_use() != Amx::never && (s.m >= 16 || s.n * s.k <= 64 * 64);
}

BatchTiles amx_tiles(const GemmShape& s) {
  // Few elements of many terms: nothing is packed twice, and each thread reads what lies together.
  if (s.batch == 1 && s.m <= kMostRows && s.n <= kMostColumns && s.m * s.n <= kSliced &&
      s.k >= 4 * kMostTerms)
    return {s, s.m, s.n, 32, s.k >= 8 * kMostTerms ? 4 : 2};
  // What packing a row or a column of either operand costs; both are packed again for each tile.
  const std::int64_t left = s.transpose_a ? 5 : 2, right = s.transpose_b ? 4 : 3;
  std::int64_t rows = std::min(s.m, kMostRows), columns = std::min(s.n, kMostColumns);
  for (;;) {
    const BatchTiles tiles(s, rows, columns, 32);
    if (tiles.count() >= kTilesWanted || tiles.work() < 2 * kAmxShare) return tiles;
    const bool can_rows = rows > 32, can_columns = columns > 32;
    if (!can_rows && !can_columns) return tiles;
    if (can_columns && (!can_rows || rows * left <= columns * right)) {
      columns = aligned(columns / 2);
    } else {
      rows = aligned(rows / 2);
    }
  }
}

std::size_t amx_scratch(const GemmShape& s) {
  return Memory(std::min(s.m, kMostRows), std::min(s.n, kMostColumns), s.k, nullptr).bytes;
}

}  // namespace tapestry::kernels

#else

namespace tapestry::kernels {

bool amx_multiplies(const GemmShape&) { return false; }
BatchTiles amx_tiles(const GemmShape& s) { return {s, 1, 1, 1}; }
void add_slices(const float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, void*, DType) {}
std::size_t amx_scratch(const GemmShape&) { return 0; }
void multiply_by_amx(const BatchTiles&, std::int64_t, std::int64_t, const bf16*, const bf16*, void*, DType,
                     std::byte*) {}

}  // namespace tapestry::kernels

#endif
