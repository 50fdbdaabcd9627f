// Helpers for kernels: the last elements of a block that don't fill a vector, and maxima that propagate NaN.
// Compiled once for each instruction set (Highway's include guard).
#include <cstdint>
#include <cstring>

#include <hwy/highway.h>

#if defined(TAPESTRY_KERNELS_TAILS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_TAILS_INL
#undef TAPESTRY_KERNELS_TAILS_INL
#else
#define TAPESTRY_KERNELS_TAILS_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Masked loads and stores that never touch what lies beyond; elsewhere a copy must do. AVX2 has none for
// small elements.
template <class T>
constexpr bool kMaskedMemory = HWY_TARGET == HWY_AVX3 || (HWY_TARGET == HWY_AVX2 && sizeof(T) >= 4);

/// The first `count` elements of a vector, the others zero. `count` is less than a vector holds.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> load_first(D d, const T* from, std::int64_t count) {
  if constexpr (kMaskedMemory<T>) {
    return hn::MaskedLoad(hn::FirstN(d, std::size_t(count)), d, from);
  } else {
    HWY_ALIGN T copy[HWY_MAX_BYTES / sizeof(T)] = {};
    std::memcpy(copy, from, std::size_t(count) * sizeof(T));
    return hn::Load(d, copy);
  }
}

template <class D, class T = hn::TFromD<D>>
HWY_INLINE void store_first(hn::Vec<D> v, D d, T* to, std::int64_t count) {
  if constexpr (kMaskedMemory<T>) {
    hn::BlendedStore(v, hn::FirstN(d, std::size_t(count)), d, to);
  } else {
    HWY_ALIGN T copy[HWY_MAX_BYTES / sizeof(T)];
    hn::Store(v, d, copy);
    std::memcpy(to, copy, std::size_t(count) * sizeof(T));
  }
}

/// `count` elements, or as many as a vector holds.
template <class D>
HWY_INLINE hn::Vec<D> load_some(D d, const hn::TFromD<D>* from, std::int64_t count) {
  return count >= std::int64_t(hn::MaxLanes(d)) ? hn::LoadU(d, from) : load_first(d, from, count);
}

template <class D>
HWY_INLINE void store_some(hn::Vec<D> v, D d, hn::TFromD<D>* to, std::int64_t count) {
  count >= std::int64_t(hn::MaxLanes(d)) ? hn::StoreU(v, d, to) : store_first(v, d, to, count);
}

// x86's maximum is its second operand if either is NaN, so a NaN in the second comes through by itself.
constexpr bool kSecondIfNan = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3;

template <class V>
HWY_INLINE V max_or_nan(V a, V b) {
  V larger = hn::Max(a, b);
  if constexpr (!kSecondIfNan) larger = hn::IfThenElse(hn::IsNaN(b), b, larger);
  return hn::IfThenElse(hn::IsNaN(a), a, larger);
}
template <class V>
HWY_INLINE V min_or_nan(V a, V b) {
  V smaller = hn::Min(a, b);
  if constexpr (!kSecondIfNan) smaller = hn::IfThenElse(hn::IsNaN(b), b, smaller);
  return hn::IfThenElse(hn::IsNaN(a), a, smaller);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
