// Elements as vectors of f32, and as the words that are multiplied. Compiled once for each instruction set
// (Highway's include guard).
#include <tapestry/core/dtype.hpp>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#if defined(TAPESTRY_KERNELS_WINOGRAD_WORDS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_WINOGRAD_WORDS_INL
#undef TAPESTRY_KERNELS_WINOGRAD_WORDS_INL
#else
#define TAPESTRY_KERNELS_WINOGRAD_WORDS_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::winograd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;
using U16 = hn::Rebind<std::uint16_t, F>;
using U32 = hn::RebindToUnsigned<F>;
inline constexpr std::int64_t kLanes = hn::MaxLanes(F());

/// Rounded as bf16(float) does.
HWY_INLINE hn::Vec<U16> round_to_bf16(V v) {
  const U32 d;
  const auto bits = hn::BitCast(d, v);
  const auto high = hn::ShiftRight<16>(bits);
  const auto odd = hn::And(high, hn::Set(d, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(d, 0x7fffu)), odd));
  const auto nan = hn::MaskFromVec(hn::BitCast(d, hn::VecFromMask(F(), hn::IsNaN(v))));
  const auto result = hn::IfThenElse(nan, hn::Or(high, hn::Set(d, 0x40u)), rounded);
  return hn::DemoteTo(U16(), hn::BitCast(hn::RebindToSigned<U32>(), result));
}

/// A word is an f32.
struct Whole {
  static constexpr std::int64_t terms = 1;
  static HWY_INLINE V add_product(V sum, V a, V b) { return hn::MulAdd(a, b, sum); }
  static HWY_INLINE hn::Vec<U16> round(V v) { return round_to_bf16(v); }

  /// A vector of neighbours in a row of words.
  static HWY_INLINE void store_row(V v, float* to) { hn::StoreU(v, F(), to); }
  /// A vector of words, or the term `term` of each; the first term goes first.
  static HWY_INLINE void store_terms(V v, std::int64_t, float* to) { hn::StoreU(v, F(), to); }
};

#if HWY_TARGET == HWY_AVX3
/// A word is two bf16, the first in the lower half. For CPUs with AVX512-BF16: its instructions by name, for
/// Highway 1.0.3 has neither them nor a target in which the compiler's intrinsics could be used.
struct Pairs {
  static constexpr std::int64_t terms = 2;
  static HWY_INLINE V add_product(V sum, V a, V b) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
    return sum;
  }
  static HWY_INLINE hn::Vec<U16> round(V v) {
    hn::Vec<U16> rounded;
    asm("vcvtneps2bf16 %1, %0" : "=v"(rounded.raw) : "v"(v.raw));
    return rounded;
  }
  static HWY_INLINE void store_row(V v, float* to) {
    hn::StoreU(round(v), U16(), reinterpret_cast<std::uint16_t*>(to));
  }
  static HWY_INLINE void store_terms(V v, std::int64_t term, float* to) {
    const U32 d;
    auto* const words = reinterpret_cast<std::uint32_t*>(to);
    const auto bits = hn::PromoteTo(d, round(v));
    hn::StoreU(term == 0 ? bits : hn::Or(hn::ShiftLeft<16>(bits), hn::LoadU(d, words)), d, words);
  }
};
#endif

HWY_INLINE V load(const float* from) { return hn::LoadU(F(), from); }
HWY_INLINE V load(const bf16* from) {
  const auto bits = hn::LoadU(U16(), reinterpret_cast<const std::uint16_t*>(from));
  return hn::BitCast(F(), hn::ShiftLeft<16>(hn::PromoteTo(U32(), bits)));
}
template <class Arithmetic>
HWY_INLINE void store(V v, float* to) {
  hn::StoreU(v, F(), to);
}
template <class Arithmetic>
HWY_INLINE void store(V v, bf16* to) {
  hn::StoreU(Arithmetic::round(v), U16(), reinterpret_cast<std::uint16_t*>(to));
}

/// Two vectors of neighbours. Past the caches only where `to` is a multiple of 64 bytes.
template <class Arithmetic>
HWY_INLINE void store_two(V a, V b, float* to, bool past_caches) {
  if (past_caches) {
    hn::Stream(a, F(), to);
    hn::Stream(b, F(), to + kLanes);
  } else {
    hn::StoreU(a, F(), to);
    hn::StoreU(b, F(), to + kLanes);
  }
}
template <class Arithmetic>
HWY_INLINE void store_two(V a, V b, bf16* to, bool past_caches) {
#if HWY_TARGET == HWY_AVX3  // a whole cache line
  const hn::Twice<U16> d;
  const auto both = hn::Combine(d, Arithmetic::round(b), Arithmetic::round(a));
  auto* const bits = reinterpret_cast<std::uint16_t*>(to);
  if (past_caches) return hn::Stream(both, d, bits);
  hn::StoreU(both, d, bits);
#else
  (void)past_caches;
  store<Arithmetic>(a, to);
  store<Arithmetic>(b, to + kLanes);
#endif
}

/// The first `count` of a vector's elements, the others 0.
template <class T>
HWY_INLINE V load(const T* from, std::int64_t count) {
  if (count >= kLanes) return load(from);
#if HWY_TARGET == HWY_AVX3
  if constexpr (std::is_same_v<T, bf16>) {
    const U16 d;
    const auto bits =
        hn::MaskedLoad(hn::FirstN(d, std::size_t(count)), d, reinterpret_cast<const std::uint16_t*>(from));
    return hn::BitCast(F(), hn::ShiftLeft<16>(hn::PromoteTo(U32(), bits)));
  } else {
    return hn::MaskedLoad(hn::FirstN(F(), std::size_t(count)), F(), from);
  }
#endif
  alignas(64) T copy[kLanes] = {};
  std::memcpy(copy, from, std::size_t(count) * sizeof(T));
  return load(copy);
}
template <class Arithmetic, class T>
HWY_INLINE void store(V v, T* to, std::int64_t count) {
  if (count >= kLanes) return store<Arithmetic>(v, to);
  alignas(64) T copy[kLanes];
  store<Arithmetic>(v, copy);
  std::memcpy(to, copy, std::size_t(count) * sizeof(T));
}

}  // namespace tapestry::kernels::winograd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
