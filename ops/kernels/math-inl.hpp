// Elementary functions on vectors. Compiled once for each instruction set (Highway's include guard).
#include <cmath>
#include <cstdint>

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#if defined(TAPESTRY_KERNELS_MATH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_MATH_INL
#undef TAPESTRY_KERNELS_MATH_INL
#else
#define TAPESTRY_KERNELS_MATH_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE::math {
namespace hn = hwy::HWY_NAMESPACE;

/// f, lane by lane.
template <class D, class F, class... V>
HWY_INLINE hn::Vec<D> each(D d, F f, hn::Vec<D> x, hn::Vec<D> y) {
  using T = hn::TFromD<D>;
  HWY_ALIGN T a[HWY_MAX_BYTES / sizeof(T)], b[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(x, d, a);
  hn::Store(y, d, b);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) a[i] = f(a[i], b[i]);
  return hn::Load(d, a);
}

#define TAPESTRY_SCALAR(NAME)                          \
  template <class D>                                   \
  HWY_INLINE hn::Vec<D> NAME(D d, hn::Vec<D> x) {      \
    using T = hn::TFromD<D>;                           \
    return each(                                       \
        d, [](T a, T) { return std::NAME(a); }, x, x); \
  }
TAPESTRY_SCALAR(exp)
TAPESTRY_SCALAR(expm1)
TAPESTRY_SCALAR(log)
TAPESTRY_SCALAR(log1p)
TAPESTRY_SCALAR(sin)
TAPESTRY_SCALAR(cos)
TAPESTRY_SCALAR(tanh)
TAPESTRY_SCALAR(erf)
#undef TAPESTRY_SCALAR

template <class D>
HWY_INLINE hn::Vec<D> pow(D d, hn::Vec<D> x, hn::Vec<D> y) {
  using T = hn::TFromD<D>;
  return each(
      d, [](T a, T b) { return std::pow(a, b); }, x, y);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE::math
HWY_AFTER_NAMESPACE();

#endif
