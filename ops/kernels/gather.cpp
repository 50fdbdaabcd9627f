#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gather.hpp>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace tapestry::kernels {
namespace {

constexpr std::int64_t kChunkBytes = 128 * 1024;

// A shape seen from one of its axes.
struct Around {
  std::int64_t outer = 1, extent = 1, inner = 1;
};

Around around(const Shape& shape, int axis) {
  require(axis >= 0 && axis < shape.rank(), "there is no axis ", axis, " in ", shape);
  Around a;
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? a.outer : i == axis ? a.extent : a.inner) *= shape[i];
  return a;
}

template <class F>
void visit_indices(const char* what, const ConstView& indices, const F& f) {
  if (indices.type.dtype == DType::i32) return f(indices.as<std::int32_t>());
  if (indices.type.dtype == DType::i64) return f(indices.as<std::int64_t>());
  fail(what, ": the indices are ", indices.type, ", not i32 or i64");
}

template <class Index>
void check_indices(const char* what, const Index* indices, std::int64_t count, std::int64_t extent) {
  for (std::int64_t j = 0; j < count; ++j) {
    if (indices[j] < 0 || indices[j] >= extent) {
      fail(what, ": index ", indices[j], " at position ", j, " is outside [0, ", extent, ")");
    }
  }
}

// Rows of `bytes` bytes each; a constant number of them is a plain load and store.
template <std::size_t bytes, class Index>
void take_rows(const std::byte* x, std::size_t x_bytes, const Index* indices, std::int64_t count,
               std::byte* y) {
  const std::size_t row = bytes != 0 ? bytes : x_bytes;
  for (std::int64_t j = 0; j < count; ++j) {
    std::memcpy(y + std::size_t(j) * row, x + std::size_t(indices[j]) * row, row);
  }
}

template <class Index>
void take_rows(const std::byte* x, std::size_t bytes, const Index* indices, std::int64_t count,
               std::byte* y) {
  switch (bytes) {
    case 1:
      return take_rows<1>(x, bytes, indices, count, y);
    case 2:
      return take_rows<2>(x, bytes, indices, count, y);
    case 4:
      return take_rows<4>(x, bytes, indices, count, y);
    case 8:
      return take_rows<8>(x, bytes, indices, count, y);
    default:
      return take_rows<0>(x, bytes, indices, count, y);
  }
}

template <class T>
T sum(T a, T b) {
  if constexpr (std::is_same_v<T, bf16>) {
    return bf16(float(a) + float(b));
  } else if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;  // wraps around
    return T(Unsigned(a) + Unsigned(b));
  } else {
    return a + b;
  }
}

// The rows [begin, end) of one matrix; each chunk reads all indices and adds those of its own rows.
template <class T, class Index>
void scatter_rows(const T* base, const Index* indices, std::int64_t count, const T* updates,
                  std::int64_t inner, std::int64_t begin, std::int64_t end, T* y) {
  if (base != y && end > begin) {
    std::memcpy(y + begin * inner, base + begin * inner, std::size_t((end - begin) * inner) * sizeof(T));
  }
  for (std::int64_t j = 0; j < count; ++j) {
    const std::int64_t row = indices[j];
    if (row < begin || row >= end) continue;
    T* const to = y + row * inner;
    const T* const from = updates + j * inner;
    for (std::int64_t i = 0; i < inner; ++i) to[i] = sum(to[i], from[i]);
  }
}

template <class T, class Index>
void scatter(const Around& a, const T* base, const Index* indices, std::int64_t count, const T* updates,
             T* y) {
  // Whole matrices a chunk, or when they are few and their rows long enough to pay for it, parts of one.
  const std::int64_t bytes = (a.extent + count) * a.inner * std::int64_t(sizeof(T));
  const std::int64_t wanted = a.outer * bytes / kChunkBytes;
  const std::int64_t parts =
      std::max<std::int64_t>(1, std::min({wanted / a.outer, a.inner / 4, std::int64_t{64}}));
  const Chunks rows(a.extent, (a.extent + parts - 1) / parts);
  const std::int64_t group =
      rows.count() > 1 ? 1 : std::max<std::int64_t>(1, kChunkBytes / std::max<std::int64_t>(1, bytes));
  parallel_ranges(a.outer * rows.count(), group, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk) {
      const std::int64_t matrix = chunk / rows.count(), part = chunk % rows.count();
      const std::int64_t at = matrix * a.extent * a.inner;
      scatter_rows(base + at, indices, count, updates + matrix * count * a.inner, a.inner, rows.begin(part),
                   rows.end(part), y + at);
    }
  });
}

}  // namespace

void take(const ConstView& x, int axis, const ConstView& indices, const View& y) {
  const Around a = around(x.type.shape, axis);
  const std::int64_t count = indices.type.shape.elements();
  require(x.type.dtype == y.type.dtype && y.type.shape.elements() == a.outer * count * a.inner,
          "take: ", count, " positions along axis ", axis, " of ", x.type, " don't make ", y.type);
  visit_indices("take", indices, [&]<class Index>(const Index* positions) {
    check_indices("take", positions, count, a.extent);
    if (y.type.shape.elements() == 0) return;
    const std::size_t row = std::size_t(a.inner) * size_of(x.type.dtype);
    const Chunks pieces(count, std::max<std::int64_t>(1, kChunkBytes / std::int64_t(row)));
    const std::int64_t matrix_bytes = count * std::int64_t(row);
    const std::int64_t group = pieces.count() > 1 ? 1 : std::max<std::int64_t>(1, kChunkBytes / matrix_bytes);
    parallel_ranges(a.outer * pieces.count(), group, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t chunk = first; chunk < last; ++chunk) {
        const std::int64_t matrix = chunk / pieces.count(), piece = chunk % pieces.count();
        const std::int64_t begin = pieces.begin(piece);
        take_rows(static_cast<const std::byte*>(x.data) + matrix * a.extent * std::int64_t(row), row,
                  positions + begin, pieces.end(piece) - begin,
                  static_cast<std::byte*>(y.data) + (matrix * count + begin) * std::int64_t(row));
      }
    });
  });
}

void scatter_add(const ConstView& base, int axis, const ConstView& indices, const ConstView& updates,
                 const View& y) {
  const Around a = around(base.type.shape, axis);
  const std::int64_t count = indices.type.shape.elements();
  require(base.type == y.type && updates.type.dtype == base.type.dtype &&
              updates.type.shape.elements() == a.outer * count * a.inner,
          "scatter_add: ", updates.type, " can't be added at ", count, " positions along axis ", axis, " of ",
          base.type, " to make ", y.type);
  require(base.type.dtype != DType::boolean, "scatter_add: bool values can't be added");
  visit_indices("scatter_add", indices, [&](const auto* positions) {
    check_indices("scatter_add", positions, count, a.extent);
    if (y.type.shape.elements() == 0) return;
    visit_dtype(base.type.dtype, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, bool>) {
        scatter(a, base.as<T>(), positions, count, updates.as<T>(), y.as<T>());
      }
    });
  });
}

}  // namespace tapestry::kernels
