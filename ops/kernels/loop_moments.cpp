// The sum of squared deviations from the mean, in one pass over memory and as accurate as in two. Deviations
// are taken from a pivot, the rounded mean of the n values gathered so far; what that lacks of the mean of
// all is made up for in f64 (Chan, Golub and LeVeque, "Algorithms for computing the sample variance", 1983).
// With S the sum of what was gathered less the pivot and M2 its squared deviations, a run of m values x makes
//
//   a = S + sum (x - pivot), b = S^2 / n + sum (x - pivot)^2: M2 += b - a^2 / (n + m), S = a, n += m
//
// and moves the pivot to pivot + S / n. No run is more than four times as long as all before it together, so
// the sums are at most about five times what M2 grows by, and cancellation costs no more than two bits. The
// first pivot is the mean of a few values, found in a pass of its own over what then lies in the first cache,
// and at most four times as many are gathered with it besides; from the first value on, so that equal values
// have no deviation.
#include <tapestry/ops/kernels/loop_tables.hpp>
#include <tapestry/ops/kernels/rows_ahead.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <cmath>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/loop_moments.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <tapestry/ops/kernels/tails-inl.hpp>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Planes of an accumulator. Columns gather runs in lanes, over as many blocks as a run takes: these planes
/// hold the state of the first column, and values of the lane's type one after the other.
enum : std::int64_t {
  kPivot,
  kFirst,
  kSquares,
  kCount,
  kRun,   // rows of the run so far
  kMost,  // that it may have
  kRunPivots,
  kRunFirst,
  kRunSquares,
  kPlanes
};
static_assert(kPlanes <= kMostPlanes);

struct Sums {  // of deviations from a pivot, and of their squares
  double first, squares;
};

/// The shares that the formulas have.
struct Shares {
  double before, after;  // 1 / n, and 1 / (n + m)
  Shares(double count, double run) : before(count > 0 ? 1 / count : 0), after(1 / (count + run)) {}
};

/// A run joins what an accumulator holds.
void join(double* at, std::int64_t plane, double pivot, double run, Sums sums) {
  double &first = at[kFirst * plane], &squares = at[kSquares * plane], &count = at[kCount * plane];
  const Shares shares(count, run);
  const double moved = first - count * (pivot - at[kPivot * plane]);
  const double a = moved + sums.first, b = moved * moved * shares.before + sums.squares;
  const double added = b - a * a * shares.after;
  at[kPivot * plane] = pivot;
  first = a;
  squares += added < 0 ? 0 : added;
  count += run;
}

template <class T>
struct Moments {
  static constexpr std::int64_t kSample = 8;
  static constexpr double kGrowth = 4, kMostRun = 256;

  static void clear(void* accumulators, std::int64_t count, std::int64_t plane) {
    for (std::int64_t p = 0; p <= kRun; ++p)
      std::fill_n(static_cast<double*>(accumulators) + p * plane, count, 0.0);
  }

  static T finite(T pivot) { return std::isfinite(pivot) ? pivot : T(0); }

  // --- Rows ---

  static T sum_of_lanes(hn::Vec<hn::ScalableTag<T>> v) {
    const hn::ScalableTag<T> d;
    return hn::GetLane(hn::SumOfLanes(d, v));
  }

  static Sums sums_of_row(const T* row, std::int64_t columns, T pivot) {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = std::int64_t(hn::Lanes(d));
    const auto p = hn::Set(d, pivot);
    auto s0 = hn::Zero(d), s1 = s0, q0 = s0, q1 = s0;
    std::int64_t i = 0;
    for (; i + 2 * lanes <= columns; i += 2 * lanes) {
      const auto d0 = hn::Sub(hn::LoadU(d, row + i), p), d1 = hn::Sub(hn::LoadU(d, row + i + lanes), p);
      s0 = hn::Add(s0, d0);
      s1 = hn::Add(s1, d1);
      q0 = hn::MulAdd(d0, d0, q0);
      q1 = hn::MulAdd(d1, d1, q1);
    }
    for (; i < columns; i += lanes) {
      const std::int64_t rest = std::min(lanes, columns - i);
      const auto all = hn::Sub(load_some(d, row + i, rest), p);
      const auto d0 = hn::IfThenElseZero(hn::FirstN(d, std::size_t(rest)), all);
      s0 = hn::Add(s0, d0);
      q0 = hn::MulAdd(d0, d0, q0);
    }
    return {double(sum_of_lanes(hn::Add(s0, s1))), double(sum_of_lanes(hn::Add(q0, q1)))};
  }

  static void by_rows(const void* block, std::int64_t rows, std::int64_t columns, void* accumulators,
                      std::int64_t plane) {
    const T* row = static_cast<const T*>(block);
    auto* to = static_cast<double*>(accumulators);
    const std::int64_t most = 128 * std::int64_t(hn::Lanes(hn::ScalableTag<T>()));
    for (std::int64_t r = 0; r < rows; ++r, row += columns) {
      for (std::int64_t i = 0; i < columns; i += most) {
        const std::int64_t run = std::min(most, columns - i);
        const double count = to[r + kCount * plane];
        const T pivot =
            finite(count == 0 ? row[i] + T(sums_of_row(row + i, run, row[i]).first / double(run))
                              : T(to[r + kPivot * plane] + to[r + kFirst * plane] * Shares(count, 0).before));
        join(to + r, plane, double(pivot), double(run), sums_of_row(row + i, run, pivot));
      }
    }
  }

  // --- Columns ---

  static constexpr std::int64_t kPanel = 4096 / sizeof(T);
  /// Of some columns and one run of rows.
  struct Panel {
    T *pivots, *first, *squares;
    Panel(double* at, std::int64_t plane)
        : pivots(reinterpret_cast<T*>(at + kRunPivots * plane)),
          first(reinterpret_cast<T*>(at + kRunFirst * plane)),
          squares(reinterpret_cast<T*>(at + kRunSquares * plane)) {}
    void advance(std::int64_t columns) {
      pivots += columns;
      first += columns;
      squares += columns;
    }
  };

  /// Four rows, or fewer, of a panel. If there are four more they are asked for meanwhile.
  template <int rows>
  static void gather_rows(const T* from, std::int64_t stride, std::int64_t width, bool is_first,
                          bool has_next, const Panel& panel) {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = std::int64_t(hn::Lanes(d));
    RowsAhead<T> ahead(has_next ? from + 4 * stride : nullptr, stride, width, lanes);
    const auto gather = [&](const auto& load, const auto& store, std::int64_t i) HWY_ATTR {
      ahead.fetch();
      const auto p = load(panel.pivots + i);
      const auto d0 = hn::Sub(load(from + i), p);
      auto s = d0, q = hn::Mul(d0, d0);
      if constexpr (rows > 1) {
        const auto d1 = hn::Sub(load(from + i + stride), p);
        s = hn::Add(s, d1);
        q = hn::MulAdd(d1, d1, q);
      }
      if constexpr (rows > 2) {
        const auto d2 = hn::Sub(load(from + i + 2 * stride), p);
        auto s1 = d2, q1 = hn::Mul(d2, d2);
        if constexpr (rows > 3) {
          const auto d3 = hn::Sub(load(from + i + 3 * stride), p);
          s1 = hn::Add(s1, d3);
          q1 = hn::MulAdd(d3, d3, q1);
        }
        s = hn::Add(s, s1);
        q = hn::Add(q, q1);
      }
      if (!is_first) {
        s = hn::Add(s, load(panel.first + i));
        q = hn::Add(q, load(panel.squares + i));
      }
      store(s, panel.first + i);
      store(q, panel.squares + i);
    };
    std::int64_t i = 0;
    const auto whole = [&](const T* at) HWY_ATTR { return hn::LoadU(d, at); };
    const auto store = [&](hn::Vec<decltype(d)> v, T* at) HWY_ATTR { hn::StoreU(v, d, at); };
    for (; i + lanes <= width; i += lanes) gather(whole, store, i);
    if (const std::int64_t rest = width - i; rest > 0) {
      const auto part = [&](const T* at) HWY_ATTR { return load_first(d, at, rest); };
      const auto store_part = [&](hn::Vec<decltype(d)> v, T* at) HWY_ATTR { store_first(v, d, at, rest); };
      gather(part, store_part, i);
    }
  }

  /// `more` rows follow.
  static void gather_run(const T* from, std::int64_t rows, std::int64_t more, std::int64_t stride,
                         std::int64_t width, bool is_first, const Panel& panel) {
    std::int64_t r = 0;
    for (; r + 4 <= rows; r += 4, from += 4 * stride)
      gather_rows<4>(from, stride, width, is_first && r == 0, r + 8 <= rows + more, panel);
    if (rows - r == 3) gather_rows<3>(from, stride, width, is_first && r == 0, false, panel);
    if (rows - r == 2) gather_rows<2>(from, stride, width, is_first && r == 0, false, panel);
    if (rows - r == 1) gather_rows<1>(from, stride, width, is_first && r == 0, false, panel);
  }

  /// The first pivots: means, from the first row on.
  static void find_pivots(const T* from, std::int64_t rows, std::int64_t stride, std::int64_t width,
                          const Panel& panel) {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = std::int64_t(hn::Lanes(d));
    const auto share = hn::Set(d, T(1) / T(rows));
    for (std::int64_t i = 0; i < width; i += lanes) {
      const std::int64_t some = std::min(lanes, width - i);
      const auto first = load_some(d, from + i, some);
      auto sum = hn::Zero(d);
      for (std::int64_t r = 1; r < rows; ++r)
        sum = hn::Add(sum, hn::Sub(load_some(d, from + i + r * stride, some), first));
      const auto pivot = hn::MulAdd(sum, share, first);
      store_some(hn::IfThenElseZero(hn::IsFinite(pivot), pivot), d, panel.pivots + i, some);
    }
  }

  using Wide = hn::ScalableTag<double>;
  using Narrow = hn::Rebind<T, Wide>;

  static HWY_INLINE hn::Vec<Wide> widened(const T* from, std::int64_t count) {
    const auto values = load_some(Narrow(), from, count);
    if constexpr (sizeof(T) == 8) {
      return values;
    } else {
      return hn::PromoteTo(Wide(), values);
    }
  }

  static void move_pivots(const double* at, std::int64_t plane, double count, std::int64_t width,
                          const Panel& panel) {
    const Wide d;
    const std::int64_t lanes = std::int64_t(hn::Lanes(d));
    const auto share = hn::Set(d, Shares(count, 0).before);
    for (std::int64_t i = 0; i < width; i += lanes) {
      const std::int64_t some = std::min(lanes, width - i);
      const auto mean = hn::MulAdd(load_some(d, at + i + kFirst * plane, some), share,
                                   load_some(d, at + i + kPivot * plane, some));
      const auto pivot = hn::IfThenElseZero(hn::IsFinite(mean), mean);
      if constexpr (sizeof(T) == 8) {
        store_some(pivot, d, panel.pivots + i, some);
      } else {
        store_some(hn::DemoteTo(Narrow(), pivot), Narrow(), panel.pivots + i, some);
      }
    }
  }

  /// Ends a run: join() for each column.
  static void join_run(double* at, std::int64_t width, std::int64_t plane) {
    const double count = at[kCount * plane], run = at[kRun * plane];
    const Panel panel(at, plane);
    const Wide d;
    const std::int64_t lanes = std::int64_t(hn::Lanes(d));
    const Shares shares(count, run);
    const auto before = hn::Set(d, count), total = hn::Set(d, count + run), zero = hn::Zero(d);
    const auto share_before = hn::Set(d, shares.before), share_after = hn::Set(d, shares.after);
    for (std::int64_t i = 0; i < width; i += lanes) {
      const std::int64_t some = std::min(lanes, width - i);
      const auto pivot = widened(panel.pivots + i, some);
      const auto step = hn::Sub(pivot, load_some(d, at + i + kPivot * plane, some));
      const auto moved = hn::NegMulAdd(before, step, load_some(d, at + i + kFirst * plane, some));
      const auto a = hn::Add(moved, widened(panel.first + i, some));
      const auto b = hn::MulAdd(hn::Mul(moved, moved), share_before, widened(panel.squares + i, some));
      const auto added = hn::NegMulAdd(hn::Mul(a, a), share_after, b);
      const auto more = hn::IfThenElse(hn::Lt(added, zero), zero, added);
      const auto squares = hn::Add(load_some(d, at + i + kSquares * plane, some), more);
      store_some(pivot, d, at + i + kPivot * plane, some);
      store_some(a, d, at + i + kFirst * plane, some);
      store_some(squares, d, at + i + kSquares * plane, some);
      store_some(total, d, at + i + kCount * plane, some);
    }
    at[kRun * plane] = 0;
  }

  static void by_columns(const void* block, std::int64_t rows, std::int64_t columns, void* accumulators,
                         std::int64_t plane) {
    const T* from = static_cast<const T*>(block);
    auto* to = static_cast<double*>(accumulators);
    double &so_far = to[kRun * plane], &most = to[kMost * plane];
    for (std::int64_t run; rows > 0; rows -= run, from += run * columns) {
      const double count = to[kCount * plane];  // of each column
      const bool is_first = so_far == 0;
      const std::int64_t sample = std::min(rows, kSample);
      if (is_first) most = std::min(count == 0 ? (1 + kGrowth) * double(sample) : kGrowth * count, kMostRun);
      run = std::min(rows, std::int64_t(most - so_far));
      Panel panel(to, plane);
      for (std::int64_t i = 0; i < columns; i += kPanel) {
        const std::int64_t width = std::min(kPanel, columns - i);
        if (is_first && count == 0) find_pivots(from + i, sample, columns, width, panel);
        if (is_first && count != 0) move_pivots(to + i, plane, count, width, panel);
        gather_run(from + i, run, rows - run, columns, width, is_first, panel);
        panel.advance(width);
      }
      so_far += double(run);
      if (so_far == most) join_run(to, columns, plane);
    }
    // Whether there is a run to go on with is known where all have one.
    if (so_far != 0 && columns != plane) join_run(to, columns, plane);
  }

  static void flush(void* accumulators, std::int64_t count) {
    auto* to = static_cast<double*>(accumulators);
    if (to[kRun * count] != 0) join_run(to, count, count);
  }

  // --- Results ---

  /// All that are in use, and the first one is, have gathered as much, and so have the others.
  static void combine(void* accumulators, const void* others, std::int64_t count, std::int64_t plane) {
    auto* to = static_cast<double*>(accumulators);
    const auto* from = static_cast<const double*>(others);
    const double n = to[kCount * plane], m = from[kCount * plane];
    const double share = 1 / n, other_share = 1 / m, both = n * m / (n + m);
    for (std::int64_t i = 0; i < count; ++i) {
      const double first = to[i + kFirst * plane], other = from[i + kFirst * plane];
      const double step = from[i + kPivot * plane] - to[i + kPivot * plane];
      const double apart = step + (other * other_share - first * share);  // the means
      to[i + kSquares * plane] += from[i + kSquares * plane] + apart * apart * both;
      to[i + kFirst * plane] = first + (other + m * step);
      to[i + kCount * plane] = n + m;
    }
  }

  static void finish(const void* accumulators, std::int64_t count, std::int64_t plane, void* block) {
    const auto* from = static_cast<const double*>(accumulators) + kSquares * plane;
    for (std::int64_t i = 0; i < count; ++i) static_cast<T*>(block)[i] = T(from[i]);
  }

  static void finish_sum(const void* accumulators, std::int64_t count, std::int64_t plane, void* block) {
    const auto* from = static_cast<const double*>(accumulators);
    for (std::int64_t i = 0; i < count; ++i)
      static_cast<T*>(block)[i] =
          T(from[i + kPivot * plane] * from[i + kCount * plane] + from[i + kFirst * plane]);
  }
};

void gather_nothing(const void*, std::int64_t, std::int64_t, void*, std::int64_t) {}

template <class T>
const MomentReducers& moments_of() {
  using M = Moments<T>;
  static constexpr MomentReducers both{
      {sizeof(double), kPlanes, &M::clear, &M::by_rows, &M::by_columns, &M::combine, &M::finish, &M::flush},
      {sizeof(double), kPlanes, [](void*, std::int64_t, std::int64_t) {}, &gather_nothing, &gather_nothing,
       [](void*, const void*, std::int64_t, std::int64_t) {}, &M::finish_sum, nullptr}};
  return both;
}

const MomentReducers& moments_for(Lane lane) {
  return lane == Lane::f32 ? moments_of<float>() : moments_of<double>();
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(moments_for);
const MomentReducers& find_moments(Lane lane) { return HWY_DYNAMIC_DISPATCH(moments_for)(lane); }
}  // namespace tapestry::kernels
#endif
