// Products of bf16 matrices by AMX, tile by tile on the calling thread.
#pragma once

#include <tapestry/core/dtype.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <algorithm>
#include <cstddef>

namespace tapestry::kernels {

/// The tiles of a batch of products, item after item, in each of them row after row. A single product of many
/// terms may be cut into slices of them instead, which then are as items: their results are to be added up.
class BatchTiles {
 public:
  /// Of `most_rows` by `most_columns` elements at most.
  BatchTiles(const GemmShape& product, std::int64_t most_rows, std::int64_t most_columns,
             std::int64_t align_rows, std::int64_t slices = 1)
      : s(product),
        rows(s.m, most_rows, align_rows),
        columns(s.n, most_columns, 32),
        terms(s.k, (s.k + slices - 1) / slices, 32) {}

  std::int64_t slices() const { return terms.count(); }
  std::int64_t per_item() const { return rows.count() * columns.count(); }
  std::int64_t count() const { return s.batch * slices() * per_item(); }
  /// Operations of a tile.
  double work() const {
    return 2.0 * double(s.m) * double(s.n) * double(s.k) /
           double(std::max<std::int64_t>(slices() * per_item(), 1));
  }

  struct Tile {
    GemmTile shape;
    std::int64_t a, b, c;  // where its operands and its elements begin
  };
  Tile operator[](std::int64_t index) const {
    const std::int64_t item = index / per_item(), tile = index % per_item();
    const std::int64_t i = tile / columns.count(), j = tile % columns.count();
    const std::int64_t row = rows.begin(i), column = columns.begin(j);
    GemmTile t = shape(rows.end(i) - row, columns.end(j) - column);
    std::int64_t a = row * (s.transpose_a ? 1 : t.lda), b = column * (s.transpose_b ? t.ldb : 1);
    if (slices() > 1) {
      const std::int64_t term = terms.begin(item);
      t.k = terms.end(item) - term;
      a += term * (s.transpose_a ? t.lda : 1);
      b += term * (s.transpose_b ? 1 : t.ldb);
    } else {
      a += item * s.stride_a;
      b += item * s.stride_b;
    }
    return {t, a, b, (item * s.m + row) * s.n + column};
  }
  GemmTile shape(std::int64_t m, std::int64_t n) const {
    GemmTile tile = tile_of(s);
    tile.m = m;
    tile.n = n;
    return tile;
  }

  const GemmShape s;
  const Chunks rows, columns, terms;
};

/// Operations that are worth a thread's while.
inline constexpr double kAmxShare = 8e6;

/// Whether AMX is in use, and no slower than others for this shape.
bool amx_multiplies(const GemmShape& shape);

/// The tiles of a product with elements and terms, as its shape alone wants them.
BatchTiles amx_tiles(const GemmShape& shape);

/// Bytes that tiles of this product need to work in, whatever its batch.
std::size_t amx_scratch(const GemmShape& shape);

/// The elements [begin, end) of a product: the sums of its slices', [slices, size], to f32 or bf16.
void add_slices(const float* sums, std::int64_t slices, std::int64_t size, std::int64_t begin,
                std::int64_t end, void* c, DType to);

/// The tiles [begin, end) of a product, to f32 or bf16. `memory` is 64-byte aligned.
void multiply_by_amx(const BatchTiles& tiles, std::int64_t begin, std::int64_t end, const bf16* a,
                     const bf16* b, void* c, DType to, std::byte* memory);

}  // namespace tapestry::kernels
