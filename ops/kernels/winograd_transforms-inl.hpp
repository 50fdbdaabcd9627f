// The transforms of F(2, 3), in one dimension, and how they are applied in two. Compiled once for each
// instruction set (Highway's include guard).
#include <tapestry/ops/kernels/winograd_steps.hpp>

#include <hwy/highway.h>

#if defined(TAPESTRY_KERNELS_WINOGRAD_TRANSFORMS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_WINOGRAD_TRANSFORMS_INL
#undef TAPESTRY_KERNELS_WINOGRAD_TRANSFORMS_INL
#else
#define TAPESTRY_KERNELS_WINOGRAD_TRANSFORMS_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::winograd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Each is from `kFrom` vectors to `kTo`.

/// B^T: tiles of images.
struct OfImages {
  static constexpr int kFrom = 4, kTo = 4;
  template <class V>
  static HWY_INLINE void apply(const V* x, V* y) {
    const V x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
    y[0] = hn::Sub(x0, x2);
    y[1] = hn::Add(x1, x2);
    y[2] = hn::Sub(x2, x1);
    y[3] = hn::Sub(x1, x3);
  }
};

/// A: tiles of the results' gradients.
struct OfResults {
  static constexpr int kFrom = 2, kTo = 4;
  template <class V>
  static HWY_INLINE void apply(const V* x, V* y) {
    const V x0 = x[0], x1 = x[1];
    y[0] = x0;
    y[1] = hn::Add(x0, x1);
    y[2] = hn::Sub(x0, x1);
    y[3] = hn::Neg(x1);
  }
};

/// A^T: tiles of results.
struct ToResults {
  static constexpr int kFrom = 4, kTo = 2;
  template <class V>
  static HWY_INLINE void apply(const V* x, V* y) {
    const V x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
    y[0] = hn::Add(x0, hn::Add(x1, x2));
    y[1] = hn::Sub(hn::Sub(x1, x2), x3);
  }
};

/// G: filters.
struct OfFilters {
  static constexpr int kFrom = 3, kTo = 4;
  template <class V>
  static HWY_INLINE void apply(const V* x, V* y) {
    const V half = hn::Set(hn::DFromV<V>(), 0.5f);
    const V x0 = x[0], x1 = x[1], x2 = x[2];
    const V ends = hn::Add(x0, x2);
    y[0] = x0;
    y[1] = hn::Mul(half, hn::Add(ends, x1));
    y[2] = hn::Mul(half, hn::Sub(ends, x1));
    y[3] = x2;
  }
};

/// G^T: the filters' gradients.
struct ToFilters {
  static constexpr int kFrom = 4, kTo = 3;
  template <class V>
  static HWY_INLINE void apply(const V* x, V* y) {
    const V half = hn::Set(hn::DFromV<V>(), 0.5f);
    const V x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
    const V sum = hn::Mul(half, hn::Add(x1, x2));
    y[0] = hn::Add(x0, sum);
    y[1] = hn::Mul(half, hn::Sub(x1, x2));
    y[2] = hn::Add(sum, x3);
  }
};

/// T x T^T, of a square x in rows: `x` has room for kTo x kTo and more, and holds the result.
template <class T, class V>
HWY_INLINE void transform(V (&x)[kPoints]) {
  constexpr int kWide = T::kFrom > T::kTo ? T::kFrom : T::kTo;
  V y[kWide * kWide];
  // Down the columns, of which there are kFrom; then along the rows, of which there are kTo.
#pragma GCC unroll 4
  for (int j = 0; j < T::kFrom; ++j) {
    V from[T::kFrom], to[T::kTo];
#pragma GCC unroll 4
    for (int i = 0; i < T::kFrom; ++i) from[i] = x[i * T::kFrom + j];
    T::apply(from, to);
#pragma GCC unroll 4
    for (int i = 0; i < T::kTo; ++i) y[i * kWide + j] = to[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < T::kTo; ++i) {
    V to[T::kTo];
    T::apply(y + i * kWide, to);
#pragma GCC unroll 4
    for (int j = 0; j < T::kTo; ++j) x[i * T::kTo + j] = to[j];
  }
}

}  // namespace tapestry::kernels::winograd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
