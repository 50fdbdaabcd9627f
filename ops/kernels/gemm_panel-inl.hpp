// The innermost part of our matrix products: a block of C in registers, from packed operands or straight from
// memory. Compiled once for each instruction set (Highway's include guard).
#include <tapestry/ops/kernels/tails-inl.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <hwy/highway.h>

#if defined(TAPESTRY_KERNELS_GEMM_PANEL_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_GEMM_PANEL_INL
#undef TAPESTRY_KERNELS_GEMM_PANEL_INL
#else
#define TAPESTRY_KERNELS_GEMM_PANEL_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
namespace hn = hwy::HWY_NAMESPACE;

// C is computed in register blocks of up to kRows x 2 vectors: their sums, two vectors of B and one of A take
// nearly all registers, 32 with AVX-512 and 16 otherwise.
template <class T>
struct Registers {
  static constexpr std::int64_t lanes = hn::MaxLanes(hn::ScalableTag<T>());
  static constexpr std::int64_t rows = lanes * sizeof(T) == 64 ? 14 : 6;
  static constexpr std::int64_t columns = 2 * lanes;
  /// Elements from one k to the next in a packed panel of A.
  static constexpr std::int64_t a_step = (rows + lanes - 1) / lanes * lanes;
};

/// Columns in the panel of B that begins at `column`, and its vectors.
template <class T>
struct Width {
  std::int64_t columns, vectors;
  Width(std::int64_t n, std::int64_t column)
      : columns(std::min(n - column, Registers<T>::columns)),
        vectors(columns > Registers<T>::lanes ? 2 : 1) {}
};

/// Where a block's operands are. A packed B has whole vectors and nothing between its rows, a packed A has
/// a_step elements for each k.
enum class Operands {
  direct,   // both as they lie in memory
  packing,  // A packed; B is packed by this block for those after it, which takes less time than a pass of
            // its own: the wait for memory is hidden behind arithmetic
  packed    // both packed
};

/// Memory that will be read soon: `lines` cache lines of each of `rows` rows. What it is fetched for may lie
/// beyond its matrix; the hint does no harm there.
struct Fetch {
  const void* at = nullptr;
  std::int64_t rows = 0, lines = 0, stride = 0;  // stride in bytes
};

template <class T>
struct Panel {
  const T* a;
  std::int64_t a_row, a_step;  // elements between rows, and from one k to the next
  const T* b;
  std::int64_t b_step;
  T* c;
  std::int64_t ldc;
  std::int64_t k, columns;
  bool add;
  T* pack = nullptr;  // where the packing goes
  Fetch next_c, next_b;
};

/// kRows x up to kVectors vectors of C.
template <class T, int kRows, int kVectors, Operands kOperands>
void multiply_panel(const Panel<T>& panel) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  constexpr std::int64_t lanes = Registers<T>::lanes;
  constexpr bool a_packed = kOperands != Operands::direct, b_packed = kOperands == Operands::packed;
  const std::int64_t a_row = a_packed ? 1 : panel.a_row;
  const std::int64_t a_step = a_packed ? Registers<T>::a_step : panel.a_step;
  const std::int64_t b_step = b_packed ? kVectors * lanes : panel.b_step;
  const std::int64_t rest = panel.columns - (kVectors - 1) * lanes;  // in the last vector
  const bool whole = rest == lanes;
  const T* HWY_RESTRICT a = panel.a;
  const T* HWY_RESTRICT b = panel.b;
  T* HWY_RESTRICT pack = panel.pack;
  V sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(d);
  }
  const auto add_term = [&]() HWY_ATTR {
    V right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      right[v] = b_packed                      ? hn::Load(d, b + v * lanes)
                 : v + 1 == kVectors && !whole ? load_first(d, b + v * lanes, rest)
                                               : hn::LoadU(d, b + v * lanes);
      if constexpr (kOperands == Operands::packing) hn::Store(right[v], d, pack + v * lanes);
    }
    pack += kVectors * lanes;
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const V left = hn::Set(d, a[i * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(left, right[v], sum[i][v]);
    }
    a += a_step;
    b += b_step;
  };
  std::int64_t p = 0;
  if constexpr (a_packed) {
    for (const Fetch& fetch : {panel.next_c, panel.next_b}) {
      const char* row = static_cast<const char*>(fetch.at);
      for (std::int64_t r = 0; r < fetch.rows; ++r, row += fetch.stride) {
        for (std::int64_t line = 0; line < fetch.lines && p < panel.k; ++line, ++p) {
          __builtin_prefetch(row + line * 64, 0, 2);
          add_term();
        }
      }
    }
  }
  for (; p < panel.k; ++p) add_term();
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    T* HWY_RESTRICT c = panel.c + i * panel.ldc;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v, c += lanes) {
      if (whole || v + 1 < kVectors) {
        hn::StoreU(panel.add ? hn::Add(hn::LoadU(d, c), sum[i][v]) : sum[i][v], d, c);
      } else {
        store_first(panel.add ? hn::Add(load_first(d, c, rest), sum[i][v]) : sum[i][v], d, c, rest);
      }
    }
  }
}

template <class T>
using PanelFunction = void (*)(const Panel<T>&);

template <class T, int kVectors, Operands kOperands, std::size_t... kRows>
constexpr auto panel_functions(std::index_sequence<kRows...>) {
  return std::array<PanelFunction<T>, sizeof...(kRows) + 1>{
      nullptr, multiply_panel<T, int(kRows) + 1, kVectors, kOperands>...};
}
/// By rows.
template <class T, int kVectors, Operands kOperands, int kRows>
inline constexpr auto kPanels = panel_functions<T, kVectors, kOperands>(std::make_index_sequence<kRows>());

#endif
}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
