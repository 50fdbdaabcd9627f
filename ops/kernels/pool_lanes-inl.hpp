// How pools see channels: in vectors of elements, compared so that a NaN is the largest and the first of
// equals wins, beside vectors of the numbers of a window's elements. Compiled once for each instruction set
// (Highway's include guard).
#include <tapestry/core/dtype.hpp>
#include <tapestry/ops/kernels/tails-inl.hpp>

#include <cstdint>
#include <limits>
#include <type_traits>

#include <hwy/highway.h>

#if defined(TAPESTRY_KERNELS_POOL_LANES_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_POOL_LANES_INL
#undef TAPESTRY_KERNELS_POOL_LANES_INL
#else
#define TAPESTRY_KERNELS_POOL_LANES_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

HWY_INLINE const std::uint16_t* bits(const bf16* from) {
  return reinterpret_cast<const std::uint16_t*>(from);
}
HWY_INLINE std::uint16_t* bits(bf16* to) { return reinterpret_cast<std::uint16_t*>(to); }

// A vector's `key` ranks its elements: one that is `larger` than the best so far takes its place. `lowest` is
// the key, and the element, that every other may take the place of.

/// Elements that can be added: lanes of f64, or of f32 for f32 and bf16.
template <class T>
struct Wide {
  using Element = T;
  using D = hn::ScalableTag<std::conditional_t<std::is_same_v<T, bf16>, float, T>>;
  using V = hn::Vec<D>;
  using Number = hn::RebindToUnsigned<D>;

  static HWY_INLINE V load(const T* from, std::int64_t count) {
    if constexpr (std::is_same_v<T, bf16>) {
      const hn::Rebind<std::uint16_t, D> half;
      return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(Number(), load_some(half, bits(from), count))));
    } else {
      return load_some(D(), from, count);
    }
  }
  static HWY_INLINE void store(V v, T* to, std::int64_t count) {
    if constexpr (std::is_same_v<T, bf16>) {
      const Number u;
      const auto raw = hn::BitCast(u, v), high = hn::ShiftRight<16>(raw);
      const auto last = hn::And(high, hn::Set(u, 1u));  // to nearest, ties to even
      const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(raw, hn::Set(u, 0x7fffu)), last));
      const auto nan = hn::RebindMask(u, hn::IsNaN(v));
      const auto kept = hn::IfThenElse(nan, hn::Or(high, hn::Set(u, 0x40u)), rounded);
      const hn::Rebind<std::uint16_t, D> half;
      store_some(hn::TruncateTo(half, kept), half, bits(to), count);
    } else {
      store_some(v, D(), to, count);
    }
  }
  static constexpr bool kStreams = !std::is_same_v<T, bf16>;
  static HWY_INLINE void stream(V v, T* to) {
    if constexpr (kStreams) hn::Stream(v, D(), to);
  }

  static HWY_INLINE V key(V v) { return v; }
  static HWY_INLINE V lowest() { return hn::Set(D(), -std::numeric_limits<hn::TFromD<D>>::infinity()); }
  static HWY_INLINE auto larger(V key, V best) {
    return hn::AndNot(hn::IsNaN(best), hn::Or(hn::IsNaN(key), hn::Gt(key, best)));
  }
};

/// bf16 that is only compared and moved: lanes of its bits, twice as many.
struct Narrow {
  using Element = bf16;
  using D = hn::ScalableTag<std::int16_t>;
  using V = hn::Vec<D>;
  using Number = hn::RebindToUnsigned<D>;

  static HWY_INLINE V load(const bf16* from, std::int64_t count) {
    return hn::BitCast(D(), load_some(Number(), bits(from), count));
  }
  static HWY_INLINE void store(V v, bf16* to, std::int64_t count) {
    store_some(hn::BitCast(Number(), v), Number(), bits(to), count);
  }
  static constexpr bool kStreams = true;
  static HWY_INLINE void stream(V v, bf16* to) { hn::Stream(hn::BitCast(Number(), v), Number(), bits(to)); }

  /// Integers in the order of the elements: both zeros are 0, every NaN is the largest.
  static HWY_INLINE V key(V v) {
    const D d;
    const V magnitude = hn::And(v, hn::Set(d, std::int16_t{0x7fff}));
    const V ordered = hn::IfThenElse(hn::Lt(v, hn::Zero(d)), hn::Neg(magnitude), magnitude);
    const V largest = hn::Set(d, std::int16_t{0x7fff});
    return hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, std::int16_t{0x7f80})), largest, ordered);
  }
  static HWY_INLINE V lowest() { return hn::Set(D(), std::numeric_limits<std::int16_t>::min()); }
  static HWY_INLINE auto larger(V key, V best) { return hn::Gt(key, best); }
};

/// Numbers that are stored as u8 or i32, in lanes as wide as the elements'.
template <class L, class Index>
HWY_INLINE hn::Vec<typename L::Number> load_numbers(const Index* from, std::int64_t count) {
  using Number = typename L::Number;
  using Stored = std::make_unsigned_t<Index>;
  const auto stored = load_some(hn::Rebind<Stored, Number>(), reinterpret_cast<const Stored*>(from), count);
  constexpr std::size_t kLane = sizeof(hn::TFromD<Number>);
  if constexpr (sizeof(Stored) == kLane) {
    return stored;
  } else if constexpr (sizeof(Stored) == 1 && kLane == 8) {
    return hn::PromoteTo(Number(), hn::PromoteTo(hn::Rebind<std::uint32_t, Number>(), stored));
  } else {
    return hn::PromoteTo(Number(), stored);
  }
}

template <class L, class Index>
HWY_INLINE void store_numbers(hn::Vec<typename L::Number> v, Index* to, std::int64_t count) {
  using Number = typename L::Number;
  using Stored = std::make_unsigned_t<Index>;
  const hn::Rebind<Stored, Number> d;
  if constexpr (sizeof(Stored) == sizeof(hn::TFromD<Number>)) {
    store_some(v, d, reinterpret_cast<Stored*>(to), count);
  } else {
    store_some(hn::TruncateTo(d, v), d, reinterpret_cast<Stored*>(to), count);
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
