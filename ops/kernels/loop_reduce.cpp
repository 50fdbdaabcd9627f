// Reductions of blocks. Within a block a few vectors gather side by side, each from at most 64 elements; from
// block to block sums of f32 are held in f64, and sums of f64 with their rounding errors (Knuth's two-sum).
// So the error stays below that of pairwise summation, and infinities and NaN come through.
#include <tapestry/ops/kernels/loop_tables.hpp>
#include <tapestry/ops/kernels/rows_ahead.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/loop_reduce.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <tapestry/ops/kernels/tails-inl.hpp>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T, Reduce reduce>
constexpr T identity() {
  using Limits = std::numeric_limits<T>;
  if (reduce == Reduce::max) return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  if (reduce == Reduce::min) return Limits::has_infinity ? Limits::infinity() : Limits::max();
  return T(0);
}

template <Reduce reduce, class V>
HWY_INLINE V gather(V a, V b) {
  if constexpr (reduce == Reduce::sum) return hn::Add(a, b);
  if constexpr (reduce == Reduce::max) return max_or_nan(a, b);
  if constexpr (reduce == Reduce::min) return min_or_nan(a, b);
}

template <Reduce reduce, class T>
HWY_INLINE T gather_one(T a, T b) {
  if constexpr (reduce == Reduce::sum && std::is_integral_v<T>) return T(std::uint64_t(a) + std::uint64_t(b));
  if constexpr (reduce == Reduce::sum) return a + b;
  if (a != a) return a;
  if (b != b) return b;
  return (reduce == Reduce::max) == (a > b) ? a : b;
}

/// Accumulators, by the way that they are kept.
template <class T, Reduce reduce>
struct Plain {  // integers, maxima, minima
  using Held = T;
  static constexpr std::int64_t kPlanes = 1;
  static HWY_INLINE void put(Held* at, std::int64_t, T value) { *at = gather_one<reduce>(*at, value); }
  template <class D>
  static HWY_INLINE void put_vector(D d, Held* at, std::int64_t, hn::Vec<D> values) {
    hn::StoreU(gather<reduce>(hn::LoadU(d, at), values), d, at);
  }
  static HWY_INLINE void merge(Held* at, std::int64_t, const Held* from) { put(at, 0, *from); }
  static HWY_INLINE T result(const Held* at, std::int64_t) { return *at; }
};

struct Widened {  // sums of f32
  using Held = double;
  static constexpr std::int64_t kPlanes = 1;
  static HWY_INLINE void put(Held* at, std::int64_t, float value) { *at += double(value); }
  template <class D>
  static HWY_INLINE void put_vector(D d, Held* at, std::int64_t, hn::Vec<D> values) {
#if HWY_TARGET == HWY_SCALAR
    put(at, 0, hn::GetLane(values));
    (void)d;
#else
    const hn::Half<D> half;
    const hn::Rebind<double, decltype(half)> wide;
    Held* next = at + hn::Lanes(wide);
    hn::StoreU(hn::Add(hn::LoadU(wide, at), hn::PromoteTo(wide, hn::LowerHalf(half, values))), wide, at);
    hn::StoreU(hn::Add(hn::LoadU(wide, next), hn::PromoteTo(wide, hn::UpperHalf(half, values))), wide, next);
#endif
  }
  static HWY_INLINE void merge(Held* at, std::int64_t, const Held* from) { *at += *from; }
  static HWY_INLINE float result(const Held* at, std::int64_t) { return float(*at); }
};

struct Compensated {  // sums of f64
  using Held = double;
  static constexpr std::int64_t kPlanes = 2;
  static HWY_INLINE void put(Held* at, std::int64_t plane, double value) {
    const double before = at[0], sum = before + value, added = sum - before;
    at[0] = sum;
    at[plane] += (before - (sum - added)) + (value - added);
  }
  template <class D>
  static HWY_INLINE void put_vector(D d, Held* at, std::int64_t plane, hn::Vec<D> values) {
    const auto before = hn::LoadU(d, at), sum = hn::Add(before, values), added = hn::Sub(sum, before);
    const auto lost = hn::Add(hn::Sub(before, hn::Sub(sum, added)), hn::Sub(values, added));
    hn::StoreU(sum, d, at);
    hn::StoreU(hn::Add(hn::LoadU(d, at + plane), lost), d, at + plane);
  }
  static HWY_INLINE void merge(Held* at, std::int64_t plane, const Held* from) {
    put(at, plane, from[0]);
    at[plane] += from[plane];
  }
  // What was lost is NaN once the sum is infinite.
  static HWY_INLINE double result(const Held* at, std::int64_t plane) {
    return std::isfinite(at[0]) ? at[0] + at[plane] : at[0];
  }
};

template <class T, Reduce reduce>
struct HowHeld {
  using type = Plain<T, reduce>;
};
template <>
struct HowHeld<float, Reduce::sum> {
  using type = Widened;
};
template <>
struct HowHeld<double, Reduce::sum> {
  using type = Compensated;
};

template <class T, Reduce reduce>
struct Kernel {
  using How = typename HowHeld<T, reduce>::type;
  using Held = typename How::Held;
  static constexpr bool kVectors = !std::is_integral_v<T>;
  static constexpr std::int64_t kRun = 64;

  static void clear(void* accumulators, std::int64_t count, std::int64_t plane) {
    auto* to = static_cast<Held*>(accumulators);
    std::fill_n(to, count, identity<Held, reduce>());
    if (How::kPlanes == 2) std::fill_n(to + plane, count, Held(0));
  }

  /// The largest or the smallest lane, if none is NaN.
  template <class D>
  static HWY_INLINE hn::Vec<D> of_lanes(D d, hn::Vec<D> v) {
    return reduce == Reduce::max ? hn::MaxOfLanes(d, v) : hn::MinOfLanes(d, v);
  }

  static T one_row(const T* row, std::int64_t columns) {
    if constexpr (!kVectors) {
      T total = identity<T, reduce>();
      for (std::int64_t i = 0; i < columns; ++i) total = gather_one<reduce>(total, row[i]);
      return total;
    } else {
      const hn::ScalableTag<T> d;
      const std::int64_t lanes = std::int64_t(hn::Lanes(d));
      const auto nothing = hn::Set(d, identity<T, reduce>());
      auto v0 = nothing, v1 = nothing, v2 = nothing, v3 = nothing;
      std::int64_t i = 0;
      for (; i + 4 * lanes <= columns; i += 4 * lanes) {
        v0 = gather<reduce>(v0, hn::LoadU(d, row + i));
        v1 = gather<reduce>(v1, hn::LoadU(d, row + i + lanes));
        v2 = gather<reduce>(v2, hn::LoadU(d, row + i + 2 * lanes));
        v3 = gather<reduce>(v3, hn::LoadU(d, row + i + 3 * lanes));
      }
      for (; i + lanes <= columns; i += lanes) v0 = gather<reduce>(v0, hn::LoadU(d, row + i));
      if (const std::int64_t rest = columns - i; rest > 0) {
        const auto last = load_first(d, row + i, rest);
        v1 = gather<reduce>(v1, reduce == Reduce::sum
                                    ? last
                                    : hn::IfThenElse(hn::FirstN(d, std::size_t(rest)), last, nothing));
      }
      const auto all = gather<reduce>(gather<reduce>(v0, v1), gather<reduce>(v2, v3));
      if constexpr (reduce == Reduce::sum) {
        return hn::GetLane(hn::SumOfLanes(d, all));
      } else {
        return hn::AllFalse(d, hn::IsNaN(all)) ? hn::GetLane(of_lanes(d, all))
                                               : std::numeric_limits<T>::quiet_NaN();
      }
    }
  }

  static void by_rows(const void* block, std::int64_t rows, std::int64_t columns, void* accumulators,
                      std::int64_t plane) {
    const T* row = static_cast<const T*>(block);
    auto* to = static_cast<Held*>(accumulators);
    const std::int64_t most = kVectors ? kRun * 4 * std::int64_t(hn::Lanes(hn::ScalableTag<T>())) : columns;
    for (std::int64_t r = 0; r < rows; ++r, row += columns) {
      for (std::int64_t i = 0; i < columns; i += most) {
        How::put(to + r, plane, one_row(row + i, std::min(most, columns - i)));
      }
    }
  }

  /// A run of columns one vector wide (or less: the first `count` of it) over at most kRun rows.
  template <class D, class LoadVector>
  static HWY_INLINE hn::Vec<D> run_of_columns(D d, const T* from, std::int64_t rows, std::int64_t columns,
                                              LoadVector load) {
    const auto nothing = hn::Set(d, identity<T, reduce>());
    auto v0 = nothing, v1 = nothing, v2 = nothing, v3 = nothing;
    std::int64_t r = 0;
    for (; r + 4 <= rows; r += 4, from += 4 * columns) {
      v0 = gather<reduce>(v0, load(from));
      v1 = gather<reduce>(v1, load(from + columns));
      v2 = gather<reduce>(v2, load(from + 2 * columns));
      v3 = gather<reduce>(v3, load(from + 3 * columns));
    }
    for (; r < rows; ++r, from += columns) v0 = gather<reduce>(v0, load(from));
    return gather<reduce>(gather<reduce>(v0, v1), gather<reduce>(v2, v3));
  }

  static constexpr std::int64_t kPanel = 2048;

  /// Rows of a panel at most kPanel wide, gathered into the accumulators.
  static void put_panel(const T* from, std::int64_t rows, std::int64_t stride, std::int64_t width, Held* to,
                        std::int64_t plane) {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = std::int64_t(hn::Lanes(d));
    const auto load = [&](const T* at) HWY_ATTR { return hn::LoadU(d, at); };
    std::int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
      How::put_vector(d, to + i, plane, run_of_columns(d, from + i, rows, stride, load));
    }
    if (const std::int64_t rest = width - i; rest > 0) {
      const auto load_rest = [&](const T* at) HWY_ATTR { return load_first(d, at, rest); };
      HWY_ALIGN T values[HWY_MAX_BYTES / sizeof(T)];
      hn::Store(run_of_columns(d, from + i, rows, stride, load_rest), d, values);
      for (std::int64_t k = 0; k < rest; ++k) How::put(to + i + k, plane, values[k]);
    }
  }

  /// The same for at most four rows into a panel. If there are four more they are asked for meanwhile.
  static void gather_panel(const T* from, std::int64_t rows, std::int64_t stride, std::int64_t width,
                           bool is_first, bool has_next, T* panel) {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = std::int64_t(hn::Lanes(d));
    const auto nothing = hn::Set(d, identity<T, reduce>());
    const T* r1 = from + (rows > 1 ? stride : 0);
    const T* r2 = from + (rows > 2 ? 2 * stride : 0);
    const T* r3 = from + (rows > 3 ? 3 * stride : 0);
    RowsAhead<T> ahead(has_next ? from + 4 * stride : nullptr, stride, width, lanes);
    const auto gather_rows = [&](const auto& load, std::int64_t i) HWY_ATTR {
      ahead.fetch();
      const auto v0 = load(from + i), v1 = rows > 1 ? load(r1 + i) : nothing;
      const auto v2 = rows > 2 ? load(r2 + i) : nothing, v3 = rows > 3 ? load(r3 + i) : nothing;
      const auto all = gather<reduce>(gather<reduce>(v0, v1), gather<reduce>(v2, v3));
      return is_first ? all : gather<reduce>(hn::LoadU(d, panel + i), all);
    };
    std::int64_t i = 0;
    const auto whole = [&](const T* at) HWY_ATTR { return hn::LoadU(d, at); };
    for (; i + lanes <= width; i += lanes) hn::StoreU(gather_rows(whole, i), d, panel + i);
    if (const std::int64_t rest = width - i; rest > 0) {
      const auto part = [&](const T* at) HWY_ATTR { return load_first(d, at, rest); };
      hn::StoreU(gather_rows(part, i), d, panel + i);
    }
  }

  static void by_columns(const void* block, std::int64_t rows, std::int64_t columns, void* accumulators,
                         std::int64_t plane) {
    const T* from = static_cast<const T*>(block);
    auto* to = static_cast<Held*>(accumulators);
    if constexpr (!kVectors) {
      for (std::int64_t r = 0; r < rows; ++r, from += columns) {
        for (std::int64_t i = 0; i < columns; ++i) How::put(to + i, plane, from[i]);
      }
    } else {
      const hn::ScalableTag<T> d;
      const bool narrow = columns <= 4 * std::int64_t(hn::Lanes(d));
      for (; rows > 0; rows -= kRun, from += kRun * columns) {
        const std::int64_t run = std::min(rows, kRun);
        for (std::int64_t i = 0; i < columns; i += kPanel) {
          const std::int64_t width = std::min(kPanel, columns - i);
          if (narrow || run <= 4) {
            put_panel(from + i, run, columns, width, to + i, plane);
          } else {
            HWY_ALIGN T partial[kPanel];
            for (std::int64_t r = 0; r < run; r += 4) {
              gather_panel(from + i + r * columns, std::min<std::int64_t>(run - r, 4), columns, width, r == 0,
                           r + 8 <= rows, partial);
            }
            put_panel(partial, 1, 0, width, to + i, plane);
          }
        }
      }
    }
  }

  static void combine(void* accumulators, const void* others, std::int64_t count, std::int64_t plane) {
    auto* to = static_cast<Held*>(accumulators);
    const auto* from = static_cast<const Held*>(others);
    for (std::int64_t i = 0; i < count; ++i) How::merge(to + i, plane, from + i);
  }

  static void finish(const void* accumulators, std::int64_t count, std::int64_t plane, void* block) {
    const auto* from = static_cast<const Held*>(accumulators);
    auto* to = static_cast<T*>(block);
    for (std::int64_t i = 0; i < count; ++i) to[i] = How::result(from + i, plane);
  }

  static constexpr Reducer reducer() {
    return {
        std::int64_t(sizeof(Held)), How::kPlanes, &clear, &by_rows, &by_columns, &combine, &finish, nullptr};
  }
};

template <class T>
const Reducer& reducer_of(Reduce reduce) {
  static constexpr Reducer reducers[] = {Kernel<T, Reduce::sum>::reducer(), Kernel<T, Reduce::max>::reducer(),
                                         Kernel<T, Reduce::min>::reducer()};
  return reducers[std::size_t(reduce) - std::size_t(Reduce::sum)];
}

const Reducer& reducer_for(Lane lane, Reduce reduce) {
  return lane == Lane::f32   ? reducer_of<float>(reduce)
         : lane == Lane::f64 ? reducer_of<double>(reduce)
                             : reducer_of<std::int64_t>(reduce);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(reducer_for);
const Reducer& find_reducer(Lane lane, Reduce reduce) {
  if (reduce == Reduce::squared_deviations) return find_moments(lane).squared_deviations;
  return HWY_DYNAMIC_DISPATCH(reducer_for)(lane, reduce);
}
}  // namespace tapestry::kernels
#endif
