#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <array>
#include <utility>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/gemm_tile.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <tapestry/ops/kernels/gemm_pack-inl.hpp>
#include <tapestry/ops/kernels/gemm_panel-inl.hpp>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

/// Where k terms of op(B) from `p` on begin in the tile's B.
template <class T>
const T* terms_of(const GemmTile& t, const T* b, std::int64_t p) {
  return b + (t.transpose_b ? p : p * t.ldb);
}

/// A tile's part in which an element of C is summed in registers: k terms of some panels of op(A), packed,
/// and of op(B).
template <class T>
struct Block {
  const T* left;
  Rows<T> rows;
  std::int64_t first, last;  // panels; `left` is where the first one begins
  std::int64_t k;
  const T* b;
  const T* next_b;  // what is multiplied after b, or null
  T* c;             // row and column 0
  bool add;
  T* right;  // a panel of B is packed here, where it stays in the first cache
};

template <class T>
constexpr std::int64_t lines_of(std::int64_t elements) {
  return 1 + elements * std::int64_t(sizeof(T)) / 64;  // wherever in a line they begin
}

/// The share that falls to one of `shares` of the panel of columns that begins at b.
template <class T>
Fetch fetch_right(const GemmTile& t, const T* b, std::int64_t k, std::int64_t share, std::int64_t shares) {
  if (b == nullptr) return {};
  const std::int64_t columns = Registers<T>::columns, rows = t.transpose_b ? columns : k;
  const std::int64_t begin = share * rows / shares, end = (share + 1) * rows / shares;
  return {.at = b + begin * t.ldb,
          .rows = end - begin,
          .lines = lines_of<T>(t.transpose_b ? k : columns),
          .stride = t.ldb * std::int64_t(sizeof(T))};
}

template <class T>
void multiply_block(const GemmTile& t, const Block<T>& block) {
  constexpr std::int64_t rows = Registers<T>::rows, columns = Registers<T>::columns;
  const auto at_column = [&](const T* b, std::int64_t column) {
    return b + (t.transpose_b ? column * t.ldb : column);
  };
  for (std::int64_t column = 0; column < t.n; column += columns) {
    const Width<T> width(t.n, column);
    const T* const b = at_column(block.b, column);
    const T* const next_b = column + columns < t.n ? at_column(block.b, column + columns) : block.next_b;
    if (t.transpose_b)
      pack_columns(b, t.ldb, block.k, width.columns, width.vectors * Registers<T>::lanes, block.right);
    const auto& packing =
        width.vectors == 2 ? kPanels<T, 2, Operands::packing, rows> : kPanels<T, 1, Operands::packing, rows>;
    const auto& packed =
        width.vectors == 2 ? kPanels<T, 2, Operands::packed, rows> : kPanels<T, 1, Operands::packed, rows>;
    for (std::int64_t i = block.first; i < block.last; ++i) {
      const bool packs = i == block.first && !t.transpose_b, last = i + 1 == block.last;
      const T* const next_c = last ? block.c + block.rows.begin(block.first) * t.ldc + column + columns
                                   : block.c + block.rows.begin(i + 1) * t.ldc + column;
      (packs ? packing : packed)[std::size_t(block.rows.count(i))](
          {.a = block.left + (i - block.first) * Registers<T>::a_step * block.k,
           .a_row = 1,
           .a_step = Registers<T>::a_step,
           .b = packs ? b : block.right,
           .b_step = t.ldb,
           .c = block.c + block.rows.begin(i) * t.ldc + column,
           .ldc = t.ldc,
           .k = block.k,
           .columns = width.columns,
           .add = block.add,
           .pack = block.right,
           .next_c = {.at = next_c,
                      .rows = rows,
                      .lines = lines_of<T>(columns),
                      .stride = t.ldc * std::int64_t(sizeof(T))},
           .next_b = fetch_right(t, next_b, block.k, i - block.first, block.last - block.first)});
    }
  }
}

template <class T>
void pack_left(const GemmTile& t, const T* a, std::int64_t begin, std::int64_t end, T* to) {
  const Rows<T> rows(t.m);
  const Chunks k_blocks(t.k, kSumBlock);
  for (std::int64_t piece = begin; piece < end; ++piece) {
    const std::int64_t block = piece / rows.panels, panel = piece % rows.panels;
    const std::int64_t k0 = k_blocks.begin(block), k = k_blocks.end(block) - k0;
    pack_a(t, a + (t.transpose_a ? k0 * t.lda : k0), k, rows, panel, panel + 1,
           to + (k0 * rows.panels + panel * k) * Registers<T>::a_step);
  }
}

template <class T>
void multiply_left(const GemmTile& t, const T* left, std::int64_t first, std::int64_t last, const T* b, T* c,
                   T* right) {
  const Rows<T> rows(t.m);
  const Chunks k_blocks(t.k, kSumBlock);
  for (std::int64_t pb = 0; pb < k_blocks.count(); ++pb) {
    const std::int64_t k0 = k_blocks.begin(pb), k1 = k_blocks.end(pb), k = k1 - k0;
    multiply_block<T>(t, {.left = left + (k0 * rows.panels + first * k) * Registers<T>::a_step,
                          .rows = rows,
                          .first = first,
                          .last = last,
                          .k = k,
                          .b = terms_of(t, b, k0),
                          .next_b = k1 < t.k ? terms_of(t, b, k1) : nullptr,
                          .c = c,
                          .add = t.accumulate || pb > 0,
                          .right = right});
  }
}

/// In blocks of rows, packed one after the other.
template <class T>
void packed(const GemmTile& t, const T* a, const T* b, T* c, std::byte* memory) {
  constexpr auto most_panels = std::int64_t(kPackedA / (kSumBlock * Registers<T>::a_step * sizeof(T)));
  T* const left = reinterpret_cast<T*>(memory);
  T* const right = reinterpret_cast<T*>(memory + kPackedA);
  const Chunks k_blocks(t.k, kSumBlock), m_blocks(t.m, most_panels * Registers<T>::rows);
  for (std::int64_t ib = 0; ib < m_blocks.count(); ++ib) {
    const std::int64_t m0 = m_blocks.begin(ib);
    const Rows<T> rows(m_blocks.end(ib) - m0);
    for (std::int64_t pb = 0; pb < k_blocks.count(); ++pb) {
      const std::int64_t k0 = k_blocks.begin(pb), k1 = k_blocks.end(pb);
      const bool end = k1 == t.k && ib + 1 == m_blocks.count();
      pack_a(t, a + (t.transpose_a ? k0 * t.lda + m0 : m0 * t.lda + k0), k1 - k0, rows, 0, rows.panels, left);
      multiply_block<T>(t, {.left = left,
                            .rows = rows,
                            .first = 0,
                            .last = rows.panels,
                            .k = k1 - k0,
                            .b = terms_of(t, b, k0),
                            .next_b = end ? nullptr : terms_of(t, b, k1 % t.k),
                            .c = c + m0 * t.ldc,
                            .add = t.accumulate || pb > 0,
                            .right = right});
    }
  }
}

/// The largest blocks of small products; up to 2 vectors of columns, or one.
template <class T>
inline constexpr int kDirectRows = Registers<T>::rows > 8 ? 8 : 4;
inline constexpr int kDirectThinRows = 8;

template <class T>
void direct(const GemmTile& t, const T* a, const T* b, T* c) {
  constexpr std::int64_t lanes = Registers<T>::lanes;
  const Chunks k_blocks(t.k, kSumBlock);
  alignas(64) T turned[Registers<T>::columns * kSumBlock];
  for (std::int64_t column = 0; column < t.n; column += Registers<T>::columns) {
    const Width<T> width(t.n, column);
    for (std::int64_t pb = 0; pb < k_blocks.count(); ++pb) {
      const std::int64_t k0 = k_blocks.begin(pb), k = k_blocks.end(pb) - k0;
      const T* from = b + k0 * t.ldb + column;
      std::int64_t ldb = t.ldb;
      if (t.transpose_b) {
        ldb = width.vectors * lanes;
        pack_columns(b + column * t.ldb + k0, t.ldb, k, width.columns, ldb, turned);
        from = turned;
      }
      const std::int64_t most = width.vectors == 2 ? kDirectRows<T> : kDirectThinRows;
      const std::int64_t panels = (t.m + most - 1) / most;
      for (std::int64_t i = 0; i < panels; ++i) {
        const std::int64_t row = i * t.m / panels;
        const auto rows = std::size_t((i + 1) * t.m / panels - row);
        const PanelFunction<T> function = width.vectors == 2
                                              ? kPanels<T, 2, Operands::direct, kDirectRows<T>>[rows]
                                              : kPanels<T, 1, Operands::direct, kDirectThinRows>[rows];
        function({.a = a + (t.transpose_a ? k0 * t.lda + row : row * t.lda + k0),
                  .a_row = t.transpose_a ? 1 : t.lda,
                  .a_step = t.transpose_a ? t.lda : 1,
                  .b = from,
                  .b_step = ldb,
                  .c = c + row * t.ldc + column,
                  .ldc = t.ldc,
                  .k = k,
                  .columns = width.columns,
                  .add = t.accumulate || k0 > 0});
      }
    }
  }
}

template <class T>
void product(const GemmTile& t, const T* a, const T* b, T* c, std::byte* packed_ab) {
  packed_ab == nullptr || is_direct(t.m, t.n, t.k) ? direct(t, a, b, c) : packed(t, a, b, c, packed_ab);
}
template <class T>
LeftSize size_of(std::int64_t m) {
  const std::int64_t panels = Rows<T>(m).panels;
  return {panels, std::size_t(panels * Registers<T>::a_step) * sizeof(T)};
}
constexpr bool kKernels = true;

#else

template <class T>
void product(const GemmTile& t, const T* a, const T* b, T* c, std::byte*) {
  blas_product(t, a, b, c);
}
// There are no kernels, so nobody packs.
template <class T>
LeftSize size_of(std::int64_t) {
  return {};
}
template <class T>
void pack_left(const GemmTile&, const T*, std::int64_t, std::int64_t, T*) {}
template <class T>
void multiply_left(const GemmTile&, const T*, std::int64_t, std::int64_t, const T*, T*, T*) {}
constexpr bool kKernels = false;

#endif

/// What there is for a type of elements.
template <class T>
const TileKernels<T>* kernels_of() {
  static constexpr TileKernels<T> kernels{product<T>, size_of<T>, pack_left<T>, multiply_left<T>};
  return &kernels;
}
const TileKernels<float>* kernels_f32() { return kernels_of<float>(); }
const TileKernels<double>* kernels_f64() { return kernels_of<double>(); }
bool kernels_exist() { return kKernels; }

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(kernels_f32);
HWY_EXPORT(kernels_f64);
HWY_EXPORT(kernels_exist);

bool has_kernels() { return HWY_DYNAMIC_DISPATCH(kernels_exist)(); }

bool is_direct(std::int64_t m, std::int64_t n, std::int64_t k) {
  return m <= 16 || n <= 16 || double(m) * double(n) * double(k) <= 48 * 48 * 48;
}

template <>
const TileKernels<float>& tile_kernels() {
  return *HWY_DYNAMIC_DISPATCH(kernels_f32)();
}
template <>
const TileKernels<double>& tile_kernels() {
  return *HWY_DYNAMIC_DISPATCH(kernels_f64)();
}

}  // namespace tapestry::kernels
#endif
