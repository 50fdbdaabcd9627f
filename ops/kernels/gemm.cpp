#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace tapestry::kernels {
namespace {

constexpr std::size_t kLine = 64;

struct Free {
  void operator()(std::byte* memory) const { ::operator delete[](memory, std::align_val_t(kLine)); }
};
using Memory = std::unique_ptr<std::byte[], Free>;

/// Memory to pack operands into: a piece for each thread, kept for the next products.
class Workspaces {
 public:
  static constexpr std::size_t kBytes = kPackedA + kPackedB;

  /// All pieces exist from now on, so that products allocate nothing.
  void reserve() {
    const std::lock_guard lock(mutex_);
    while (made_ < thread_count()) free_.push_back(make());
  }
  /// Null if all pieces are busy: with several programs at work there may be more tiles in progress than
  /// threads.
  Memory take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return made_ < thread_count() ? make() : Memory();
    Memory memory = std::move(free_.back());
    free_.pop_back();
    return memory;
  }
  void give_back(Memory memory) {
    if (memory == nullptr) return;
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(memory));
  }

 private:
  Memory make() {
    free_.reserve(std::size_t(made_ + 1));
    Memory memory(new (std::align_val_t(kLine)) std::byte[kBytes]);
    ++made_;
    return memory;
  }

  std::mutex mutex_;
  std::vector<Memory> free_;
  int made_ = 0;
};

// Never destroyed: static objects elsewhere may multiply while the process ends.
Workspaces& workspaces() {
  static Workspaces& instance = *new Workspaces;
  return instance;
}

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

bool packs(std::int64_t m, std::int64_t n, std::int64_t k) { return has_kernels() && !is_direct(m, n, k); }

template <class T>
void product(const GemmTile& tile, const T* a, const T* b, T* c) {
  if (tile.m == 1) return row_product(tile, a, b, c);
  if (!packs(tile.m, tile.n, tile.k)) return matrix_product(tile, a, b, c, nullptr);
  Memory memory = workspaces().take();
  matrix_product(tile, a, b, c, memory.get());
  workspaces().give_back(std::move(memory));
}

}  // namespace

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

template <class T>
void gemm(const GemmShape& shape, const T* a, const T* b, T* c) {
  GemmShape s = shape;
  if (s.m == 0 || s.n == 0 || s.batch == 0) return;
  // One matrix on the right for a batch of contiguous ones on the left: their rows form one tall matrix.
  if (s.batch > 1 && s.stride_b == 0 && !s.transpose_a && s.stride_a == s.m * s.k) {
    s.m *= s.batch;
    s.batch = 1;
  }
  const std::int64_t lda = s.transpose_a ? s.m : s.k, ldb = s.transpose_b ? s.k : s.n;
  const auto run = [&](std::int64_t item, std::int64_t row, std::int64_t rows, std::int64_t column,
                       std::int64_t columns) {
    const GemmTile t{.m = rows,
                     .n = columns,
                     .k = s.k,
                     .transpose_a = s.transpose_a,
                     .transpose_b = s.transpose_b,
                     .lda = lda,
                     .ldb = ldb,
                     .ldc = s.n};
    gemm_tile(t, a + item * s.stride_a + row * (s.transpose_a ? 1 : lda),
              b + item * s.stride_b + column * (s.transpose_b ? ldb : 1),
              c + (item * s.m + row) * s.n + column);
  };
  constexpr double kShare = 1e6;  // operations, some 4 us, that are worth sharing
  const double work = 2.0 * double(s.m) * double(s.n) * double(s.k);
  if (work * double(s.batch) < 2 * kShare) {
    for (std::int64_t item = 0; item < s.batch; ++item) run(item, 0, s.m, 0, s.n);
    return;
  }
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

std::size_t reserve_for_gemm(const GemmShape& shape) {
  if (!packs(shape.m * shape.batch, shape.n, shape.k)) return 0;
  workspaces().reserve();
  return Workspaces::kBytes * std::size_t(thread_count());
}

template void gemm(const GemmShape&, const float*, const float*, float*);
template void gemm(const GemmShape&, const double*, const double*, double*);
template void gemm_tile(const GemmTile&, const float*, const float*, float*);
template void gemm_tile(const GemmTile&, const double*, const double*, double*);

}  // namespace tapestry::kernels
