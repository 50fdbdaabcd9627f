#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/kernels/gemm_memory.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>
#include <tapestry/ops/kernels/scratch.hpp>

#include <algorithm>

namespace tapestry::kernels {
namespace {

bool packs(std::int64_t m, std::int64_t n, std::int64_t k) { return has_kernels() && !is_direct(m, n, k); }

constexpr double kShare = 1e6;  // operations, some 4 us, that are worth sharing
double operations(const GemmShape& s) { return 2.0 * double(s.m) * double(s.n) * double(s.k); }

constexpr std::int64_t kRowsOfTile = 56;    // or more: fewer wouldn't pay for packing B
constexpr std::int64_t kTilesOfThread = 4;  // threads are not equally fast

// Whether rows alone are cut, two tiles or more for each thread; op(A) of other products is packed by all
// threads.
bool rows_suffice(std::int64_t m, std::int64_t threads) { return m >= 2 * threads * kRowsOfTile; }

// What a tile takes, in cycles for each k: 32 columns of a row of C are one cycle, and an element of A or B
// costs part of one to pack. These are of an AVX-512 core; other ratios would hardly choose other grids.
double cycles_of(std::int64_t m, std::int64_t n) {
  const std::int64_t panels = (n + 31) / 32;
  return double(m * panels) + 0.35 * double(m) + 0.2 * double(n);
}

// Where a product is cut changes no bit of ours (gemm_tile.hpp), so the number of threads may decide it.
Grid grid_of(const GemmShape& s, std::int64_t threads) {
  constexpr std::int64_t kLeastRows = 16;
  constexpr double kStart = 5000;  // cycles to share a loop: 1 us and more
  Grid best;
  if (threads < 2) return best;
  double least = double(s.k) * cycles_of(s.m, s.n);
  if (least < 2 * kStart) return best;
  if (rows_suffice(s.m, threads) && packs(s.m, s.n, s.k))
    return {.rows = std::min(kTilesOfThread, s.m / (threads * kRowsOfTile)) * threads};
  const std::int64_t most_rows = std::min(2 * threads, std::max(s.m / kLeastRows, std::int64_t{1}));
  for (std::int64_t rows = 1; rows <= most_rows; ++rows) {
    for (const std::int64_t each : {1, 2}) {
      const std::int64_t columns = std::clamp(each * threads / rows, std::int64_t{1}, (s.n + 31) / 32);
      const std::int64_t waves = (rows * columns + threads - 1) / threads;
      const std::int64_t m = (s.m + rows - 1) / rows, n = ((s.n + columns - 1) / columns + 31) / 32 * 32;
      // With several tiles for each thread, a thread that is held up leaves some to others.
      const double cycles = kStart + double(waves) * double(s.k) * cycles_of(m, n) * (waves > 1 ? 1 : 1.03);
      if (cycles < least) {
        least = cycles;
        best = {rows, columns};
      }
    }
  }
  return best;
}

// The pieces of one side: `pieces` or fewer, cut at multiples of `align`.
Chunks cut(std::int64_t size, std::int64_t pieces, std::int64_t align) {
  return Chunks(size, (size + pieces - 1) / pieces, align);
}

template <class T>
void product(const GemmTile& tile, const T* a, const T* b, T* c) {
  if (tile.m == 1) return row_product(tile, a, b, c);
  if (!packs(tile.m, tile.n, tile.k)) return tile_kernels<T>().product(tile, a, b, c, nullptr);
  tile_kernels<T>().product(tile, a, b, c, Piece().get());
}

// A product whose op(A) all threads pack together, because its rows are too few to be cut for them: tiles are
// columns of C then, and many, for threads are not equally fast: a CPU of a virtual machine may be slower
// than its neighbour by a third for minutes.
struct SharedLeft {
  std::int64_t panels = 0, pieces = 0;
  std::size_t bytes = 0;  // 0: the product is cut otherwise
};

template <class T>
SharedLeft shared_left(const GemmShape& s) {
  constexpr std::size_t kMostBytes = std::size_t{4} << 20;
  const std::int64_t threads = thread_count();
  if (threads < 2 || s.batch > 1 || operations(s) < 2 * kShare || rows_suffice(s.m, threads) ||
      !packs(s.m, s.n, s.k))
    return {};
  const LeftSize size = tile_kernels<T>().left_size(s.m);
  const std::size_t bytes = size.term_bytes * std::size_t(s.k);
  if (bytes > kMostBytes) return {};
  return {size.panels, size.panels * Chunks(s.k, kSumBlock).count(), bytes};
}

// Never destroyed, as pieces aren't.
Scratch& left_scratch() {
  static Scratch& instance = *new Scratch;
  return instance;
}

template <class T>
void multiply_shared(const SharedLeft& shared, const GemmTile& t, const T* a, const T* b, T* c) {
  const Scratch::Piece memory(left_scratch(), shared.bytes);
  const TileKernels<T>& kernels = tile_kernels<T>();
  T* const left = memory.as<T>();
  parallel_ranges(shared.pieces, 4,
                  [&](std::int64_t begin, std::int64_t end) { kernels.pack_left(t, a, begin, end, left); });

  // Each thread starts with columns in a part of its own: neighbouring tiles have cache lines of C in common,
  // which shouldn't go to and fro between two threads.
  constexpr std::int64_t kStrip = 32;
  const std::int64_t threads = thread_count(), wanted = kTilesOfThread * threads;
  const Chunks columns(t.n, std::max((t.n + kStrip - 1) / kStrip / wanted, std::int64_t{1}) * kStrip, kStrip);
  const std::int64_t parts = std::min(threads, columns.count());
  const std::int64_t of_part = (columns.count() + parts - 1) / parts;
  const std::int64_t most_panels = columns.count() < wanted
                                       ? std::max(shared.panels * columns.count() / wanted, std::int64_t{4})
                                       : shared.panels;
  const Chunks panels(shared.panels, most_panels);
  parallel_for(parts * of_part * panels.count(), [&](std::int64_t index) {
    const std::int64_t i = index % panels.count(), place = index / panels.count();
    const std::int64_t j = place % parts * of_part + place / parts;
    if (j >= columns.count()) return;
    GemmTile tile = t;
    tile.n = columns.end(j) - columns.begin(j);
    const Piece piece;
    alignas(64) std::byte own[kPackedB];
    std::byte* const right = piece.get() != nullptr ? piece.get() : own;
    kernels.multiply_left(tile, left, panels.begin(i), panels.end(i),
                          b + columns.begin(j) * (t.transpose_b ? t.ldb : 1), c + columns.begin(j),
                          reinterpret_cast<T*>(right));
  });
}

}  // namespace

GemmShape merged(GemmShape s) {
  if (s.batch > 1 && s.stride_b == 0 && !s.transpose_a && s.stride_a == s.m * s.k) {
    s.m *= s.batch;
    s.batch = 1;
  }
  return s;
}

GemmTile tile_of(const GemmShape& s) {
  return {.m = s.m,
          .n = s.n,
          .k = s.k,
          .transpose_a = s.transpose_a,
          .transpose_b = s.transpose_b,
          .lda = s.transpose_a ? s.m : s.k,
          .ldb = s.transpose_b ? s.k : s.n,
          .ldc = s.n};
}

template <class T>
void gemm_tile(const GemmTile& t, const T* a, const T* b, T* c) {
  if (t.m == 0 || t.n == 0) return;
  if (t.k == 0) {
    if (t.accumulate) return;
    for (std::int64_t row = 0; row < t.m; ++row) std::fill_n(c + row * t.ldc, t.n, T(0));
    return;
  }
  if (t.n == 1 && t.ldc == 1 && t.m > 1) {  // a row of results fills vectors, a column would not
    const GemmTile turned{.m = 1,
                          .n = t.m,
                          .k = t.k,
                          .transpose_a = !t.transpose_b,
                          .transpose_b = !t.transpose_a,
                          .accumulate = t.accumulate,
                          .lda = t.ldb,
                          .ldb = t.lda,
                          .ldc = t.m};
    return product(turned, b, a, c);
  }
  product(t, a, b, c);
}

std::int64_t rows_of_part(const GemmShape& shape, std::size_t bytes, DType dtype) {
  const GemmShape s = merged(shape);
  if (!has_kernels()) return 0;  // OpenBLAS's bits change with the cuts
  if (s.batch != 1 || s.m < 2 || s.n == 0 || s.k == 0) return 0;
  std::int64_t rows = 2;
  if (bytes > 0) {
    const std::int64_t threads = thread_count(), most = std::int64_t(bytes / size_of(dtype)) / s.n;
    if (!rows_suffice(s.m, threads)) return 0;
    rows = std::clamp(s.m / (threads * kTilesOfThread), kRowsOfTile, std::max(most, kRowsOfTile));
  }
  while (s.m % rows == 1) ++rows;  // a single row is summed in another order
  return rows;
}

template <class T>
void gemm_rows(const GemmShape& shape, std::int64_t first, std::int64_t rows, const T* a, const T* b, T* c) {
  GemmTile tile = tile_of(merged(shape));
  tile.m = rows;
  gemm_tile(tile, a + first * (tile.transpose_a ? 1 : tile.lda), b, c);
}

template <class T>
void gemm(const GemmShape& shape, const T* a, const T* b, T* c) {
  const GemmShape s = merged(shape);
  if (s.m == 0 || s.n == 0 || s.batch == 0) return;
  const GemmTile whole = tile_of(s);
  const auto run = [&](std::int64_t item, std::int64_t row, std::int64_t rows, std::int64_t column,
                       std::int64_t columns) {
    GemmTile t = whole;
    t.m = rows;
    t.n = columns;
    gemm_tile(t, a + item * s.stride_a + row * (s.transpose_a ? 1 : whole.lda),
              b + item * s.stride_b + column * (s.transpose_b ? whole.ldb : 1),
              c + (item * s.m + row) * s.n + column);
  };
  const double work = operations(s);
  if (work * double(s.batch) < 2 * kShare) {
    for (std::int64_t item = 0; item < s.batch; ++item) run(item, 0, s.m, 0, s.n);
    return;
  }
  if (const SharedLeft shared = shared_left<T>(s); shared.bytes > 0)
    return multiply_shared(shared, whole, a, b, c);
  const std::int64_t threads = thread_count();
  const bool ours = has_kernels();
  Grid grid = ours ? grid_of(s, (threads + s.batch - 1) / s.batch) : blas_grid(s);
  // A single row is summed in another order: no tile may be one unless the product is.
  const auto leaves_one = [&] { return s.m > 1 && s.m % ((s.m + grid.rows - 1) / grid.rows) == 1; };
  while (ours && grid.rows > 1 && leaves_one()) --grid.rows;
  const Chunks rows = cut(s.m, grid.rows, ours ? 1 : 8), columns = cut(s.n, grid.columns, 32);
  const std::int64_t tiles = rows.count() * columns.count();
  if (tiles > 1) {
    parallel_for(s.batch * tiles, [&](std::int64_t index) {
      const std::int64_t i = index % tiles / columns.count(), j = index % columns.count();
      run(index / tiles, rows.begin(i), rows.end(i) - rows.begin(i), columns.begin(j),
          columns.end(j) - columns.begin(j));
    });
    return;
  }
  const auto group = std::int64_t(std::max(kShare / std::max(work, 1.0), 1.0));
  parallel_ranges(s.batch, group, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) run(item, 0, s.m, 0, s.n);
  });
}

std::size_t reserve_for_gemm(const GemmShape& shape, DType dtype) {
  const std::size_t pieces = reserve_for_gemm_tile(shape.m * shape.batch, shape.n, shape.k);
  const GemmShape s = merged(shape);
  const SharedLeft shared = dtype == DType::f64 ? shared_left<double>(s) : shared_left<float>(s);
  if (shared.bytes > 0) left_scratch().reserve(shared.bytes, 1);
  return pieces + shared.bytes;
}

std::size_t reserve_for_gemm_tile(std::int64_t m, std::int64_t n, std::int64_t k) {
  if (!packs(m, n, k)) return 0;
  reserve_pieces();
  return piece_bytes() * std::size_t(thread_count());
}

template void gemm(const GemmShape&, const float*, const float*, float*);
template void gemm(const GemmShape&, const double*, const double*, double*);
template void gemm_rows(const GemmShape&, std::int64_t, std::int64_t, const float*, const float*, float*);
template void gemm_rows(const GemmShape&, std::int64_t, std::int64_t, const double*, const double*, double*);
template void gemm_tile(const GemmTile&, const float*, const float*, float*);
template void gemm_tile(const GemmTile&, const double*, const double*, double*);

}  // namespace tapestry::kernels
