#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/arg_reduce.hpp>

#include <algorithm>
#include <array>
#include <type_traits>

namespace tapestry::kernels {
namespace {

constexpr std::int64_t kChunkElements = 32 * 1024;
constexpr std::int64_t kBlock = 64;

// Some of the axes of a tensor, walked in row-major order.
struct Axes {
  std::array<std::int64_t, kMaxRank> extents{}, strides{};
  int rank = 0;

  void push_back(std::int64_t extent, std::int64_t stride) {
    if (extent == 1) return;
    // An axis that continues the one before it is merged with it.
    const auto last = std::size_t(rank - 1);
    if (rank > 0 && strides[last] == stride * extent) {
      extents[last] *= extent;
      strides[last] = stride;
      return;
    }
    extents[std::size_t(rank)] = extent;
    strides[std::size_t(rank++)] = stride;
  }
  std::int64_t elements() const {
    std::int64_t n = 1;
    for (int axis = 0; axis < rank; ++axis) n *= extents[std::size_t(axis)];
    return n;
  }
  std::int64_t offset(std::int64_t position) const {
    std::int64_t at = 0;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const auto i = std::size_t(axis);
      at += position % extents[i] * strides[i];
      position /= extents[i];
    }
    return at;
  }
};

template <class T>
auto number(T value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return float(value);
  } else {
    return value;
  }
}

struct Greater {
  template <class T>
  bool operator()(T value, T best) const {
    return value > best || (value != value && best == best);
  }
};
struct Less {
  template <class T>
  bool operator()(T value, T best) const {
    return value < best || (value != value && best == best);
  }
};

// The position of the first best element of a row.
template <class T, class Better>
std::int64_t scan(const T* row, std::int64_t n, std::int64_t stride, Better better) {
  std::int64_t at = 0;
  auto best = number(row[0]);
  for (std::int64_t i = 1; i < n; ++i) {
    const auto value = number(row[i * stride]);
    if (better(value, best)) best = value, at = i;
  }
  return at;
}

// Rows that are contiguous, or nearly: one result at a time.
template <class T, class Better>
void by_rows(const T* x, const Axes& kept, const Axes& reduced, std::int64_t* y, Better better) {
  const std::int64_t n = reduced.elements();
  const auto last = std::size_t(std::max(reduced.rank - 1, 0));
  const std::int64_t run = reduced.rank == 0 ? 1 : reduced.extents[last];
  const std::int64_t stride = reduced.rank == 0 ? 1 : reduced.strides[last];
  parallel_ranges(kept.elements(), std::max<std::int64_t>(1, kChunkElements / n),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      const T* const row = x + kept.offset(i);
                      std::int64_t at = scan(row, run, stride, better);
                      auto best = number(row[at * stride]);
                      for (std::int64_t first = run; first < n; first += run) {
                        const T* const part = row + reduced.offset(first);
                        const std::int64_t found = scan(part, run, stride, better);
                        if (better(number(part[found * stride]), best))
                          best = number(part[found * stride]), at = first + found;
                      }
                      y[i] = at;
                    }
                  });
}

// The last axis is kept: a block of neighbouring results at a time, so that memory is read in order.
template <class T, class Better>
void by_columns(const T* x, const Axes& all_kept, const Axes& reduced, std::int64_t* y, Better better) {
  Axes kept = all_kept;
  const std::int64_t n = reduced.elements(), columns = kept.extents[std::size_t(--kept.rank)];
  const Chunks blocks(columns, kBlock);
  const std::int64_t total = kept.elements() * blocks.count();
  parallel_ranges(total, std::max<std::int64_t>(1, kChunkElements / (n * kBlock)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t index = begin; index < end; ++index) {
                      const std::int64_t row = index / blocks.count(), block = index % blocks.count();
                      const std::int64_t first = blocks.begin(block), width = blocks.end(block) - first;
                      const T* const from = x + kept.offset(row) + first;
                      std::array<decltype(number(T{})), kBlock> best;
                      std::array<std::int64_t, kBlock> at{};
                      for (std::int64_t c = 0; c < width; ++c) best[std::size_t(c)] = number(from[c]);
                      for (std::int64_t i = 1; i < n; ++i) {
                        const T* const line = from + reduced.offset(i);
                        for (std::int64_t c = 0; c < width; ++c) {
                          const auto value = number(line[c]);
                          const bool is_better = better(value, best[std::size_t(c)]);
                          best[std::size_t(c)] = is_better ? value : best[std::size_t(c)];
                          at[std::size_t(c)] = is_better ? i : at[std::size_t(c)];
                        }
                      }
                      std::copy_n(at.begin(), width, y + row * columns + first);
                    }
                  });
}

template <class Better>
void arg_reduce(const char* what, const ConstView& x, const Shape& axes, const View& y, Better better) {
  const Shape strides = strides_of(x.type.shape);
  Axes kept, reduced;
  std::int64_t results = 1, choices = 1;
  bool last_is_kept = false;
  for (int axis = 0, next = 0; axis < x.type.shape.rank(); ++axis) {
    const std::int64_t extent = x.type.shape[axis];
    const bool is_reduced = next < axes.rank() && axes[next] == axis;
    next += is_reduced;
    (is_reduced ? choices : results) *= extent;
    (is_reduced ? reduced : kept).push_back(extent, strides[axis]);
    if (extent != 1) last_is_kept = !is_reduced;
  }
  require(y.type.dtype == DType::i64 && y.type.shape.elements() == results, what, " over axes ", axes, " of ",
          x.type, " doesn't make ", y.type);
  if (results == 0) return;
  require(choices > 0, what, " over axes ", axes, " of ", x.type, ": there is nothing to choose from");
  visit_dtype(x.type.dtype, [&]<class T>(T) {
    const auto run = last_is_kept ? &by_columns<T, Better> : &by_rows<T, Better>;
    run(x.as<T>(), kept, reduced, y.as<std::int64_t>(), better);
  });
}

}  // namespace

void argmax(const ConstView& x, const Shape& axes, const View& y) {
  arg_reduce("argmax", x, axes, y, Greater());
}
void argmin(const ConstView& x, const Shape& axes, const View& y) {
  arg_reduce("argmin", x, axes, y, Less());
}

}  // namespace tapestry::kernels
