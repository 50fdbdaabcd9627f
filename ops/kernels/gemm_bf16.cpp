#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm_amx.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/kernels/onednn_matmul.hpp>
#include <tapestry/ops/kernels/scratch.hpp>

#include <algorithm>
#include <type_traits>

namespace tapestry::kernels {
namespace {

// Never destroyed: static objects elsewhere may multiply while the process ends.
Scratch& scratch() {
  static Scratch& instance = *new Scratch;
  return instance;
}

// Of products whose terms are cut.
Scratch& slices_scratch() {
  static Scratch& instance = *new Scratch;
  return instance;
}

// --- how a product is cut ---

// About 20 us of a core each, and few enough columns and terms for what is converted to stay in L2.
constexpr std::int64_t kTileRows = 128, kTileColumns = 256, kTileTerms = 256;

BatchTiles cut(const GemmShape& s) {
  return amx_multiplies(s) ? amx_tiles(s) : BatchTiles(s, kTileRows, kTileColumns, 16);
}

std::size_t slice_bytes(const BatchTiles& tiles) {
  return tiles.slices() == 1 ? 0 : std::size_t(tiles.slices() * tiles.s.m * tiles.s.n) * sizeof(float);
}

// --- by our f32 kernels ---

/// Rows of `from` as f32, dense.
void convert_rows(const bf16* from, std::int64_t ld, std::int64_t rows, std::int64_t columns, float* to) {
  for (std::int64_t row = 0; row < rows; ++row, from += ld, to += columns)
    for (std::int64_t i = 0; i < columns; ++i) to[i] = float(from[i]);
}

struct Converted {
  std::size_t a, b, c;  // bytes
  explicit Converted(const GemmTile& t) {
    const std::int64_t k = std::min(t.k, kTileTerms);
    a = Scratch::aligned(std::size_t(t.m * k) * sizeof(float));
    b = Scratch::aligned(std::size_t(t.n * k) * sizeof(float));
    c = Scratch::aligned(std::size_t(t.m * t.n) * sizeof(float));
  }
};

template <class T>
void multiply_converted(const GemmTile& t, const bf16* a, const bf16* b, T* c, std::byte* memory) {
  const Converted bytes(t);
  auto* const left = reinterpret_cast<float*>(memory);
  auto* const right = reinterpret_cast<float*>(memory + bytes.a);
  float* sums = reinterpret_cast<float*>(memory + bytes.a + bytes.b);
  std::int64_t ldc = t.n;
  if constexpr (std::is_same_v<T, float>) {
    sums = c;
    ldc = t.ldc;
  }
  for (std::int64_t k0 = 0; k0 < t.k; k0 += kTileTerms) {
    const std::int64_t k = std::min(t.k - k0, kTileTerms);
    if (t.transpose_a) {
      convert_rows(a + k0 * t.lda, t.lda, k, t.m, left);
    } else {
      convert_rows(a + k0, t.lda, t.m, k, left);
    }
    if (t.transpose_b) {
      convert_rows(b + k0, t.ldb, t.n, k, right);
    } else {
      convert_rows(b + k0 * t.ldb, t.ldb, k, t.n, right);
    }
    gemm_tile<float>({.m = t.m,
                      .n = t.n,
                      .k = k,
                      .transpose_a = t.transpose_a,
                      .transpose_b = t.transpose_b,
                      .accumulate = k0 > 0,
                      .lda = t.transpose_a ? t.m : k,
                      .ldb = t.transpose_b ? k : t.n,
                      .ldc = ldc},
                     left, right, sums);
  }
  if constexpr (std::is_same_v<T, bf16>) {
    for (std::int64_t row = 0; row < t.m; ++row)
      for (std::int64_t i = 0; i < t.n; ++i) c[row * t.ldc + i] = bf16(sums[row * ldc + i]);
  }
}

std::size_t scratch_bytes(const GemmTile& tile, DType result) {
  if (const auto bytes = onednn_tile_scratch(tile, result)) return *bytes;
  const Converted bytes(tile);
  return bytes.a + bytes.b + (result == DType::bf16 ? bytes.c : 0);
}

template <class T>
void multiply_tile(const GemmTile& tile, const bf16* a, const bf16* b, T* c) {
  const Scratch::Piece piece(scratch(), scratch_bytes(tile, dtype_of<T>));
  auto* const memory = piece.as<std::byte>();
  if (!multiply_by_onednn(tile, dtype_of<T>, a, b, c, memory)) multiply_converted(tile, a, b, c, memory);
}

}  // namespace

template <class T>
void gemm_bf16(const GemmShape& shape, const bf16* a, const bf16* b, T* c) {
  const GemmShape s = merged(shape);
  if (s.m == 0 || s.n == 0 || s.batch == 0) return;
  if (s.k == 0) {
    std::fill_n(c, s.batch * s.m * s.n, T(0.0f));
    return;
  }
  const BatchTiles tiles = cut(s);
  // Small ones in groups, for sharing costs some microseconds.
  const bool by_amx = amx_multiplies(s);
  const double share = by_amx ? kAmxShare : 2e6;  // operations
  const auto multiply = [&]<class To>(To* to) {
    parallel_ranges(tiles.count(), std::int64_t(std::max(share / tiles.work(), 1.0)),
                    [&](std::int64_t begin, std::int64_t end) {
                      if (by_amx) {
                        const Scratch::Piece piece(scratch(), amx_scratch(s));
                        multiply_by_amx(tiles, begin, end, a, b, to, dtype_of<To>, piece.as<std::byte>());
                        return;
                      }
                      for (std::int64_t index = begin; index < end; ++index) {
                        const BatchTiles::Tile tile = tiles[index];
                        multiply_tile(tile.shape, a + tile.a, b + tile.b, to + tile.c);
                      }
                    });
  };
  if (tiles.slices() == 1) return multiply(c);
  const std::int64_t size = s.m * s.n;
  const Scratch::Piece sums(slices_scratch(), slice_bytes(tiles));
  multiply(sums.as<float>());
  parallel_ranges(size, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    add_slices(sums.as<float>(), tiles.slices(), size, begin, end, c, dtype_of<T>);
  });
}

std::size_t reserve_for_gemm_bf16(const GemmShape& shape, DType result) {
  const GemmShape s = merged(shape);
  if (s.m == 0 || s.n == 0 || s.k == 0 || s.batch == 0) return 0;
  std::size_t bytes = 0, kernels = 0;
  if (amx_multiplies(s)) {
    bytes = amx_scratch(s);
    if (const std::size_t sums = slice_bytes(cut(s))) {
      slices_scratch().reserve(sums, 1);
      kernels = sums;
    }
  } else {
    const BatchTiles tiles = cut(s);
    const auto last = [](const Chunks& c) { return c.end(c.count() - 1) - c.begin(c.count() - 1); };
    for (const std::int64_t rows : {tiles.rows.end(0), last(tiles.rows)}) {
      for (const std::int64_t columns : {tiles.columns.end(0), last(tiles.columns)}) {
        bytes = std::max(bytes, scratch_bytes(tiles.shape(rows, columns), result));
        kernels = std::max(kernels, reserve_for_gemm_tile(rows, columns, std::min(s.k, kTileTerms)));
      }
    }
  }
  scratch().reserve(bytes, std::size_t(thread_count()));
  return bytes * std::size_t(thread_count()) + kernels;
}

bool cpu_multiplies_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

template void gemm_bf16(const GemmShape&, const bf16*, const bf16*, float*);
template void gemm_bf16(const GemmShape&, const bf16*, const bf16*, bf16*);

}  // namespace tapestry::kernels
