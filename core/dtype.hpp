// Element types. f32 and f64 compute; bf16 is a storage format; the integers hold labels, indices and keys.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tapestry {

enum class DType : std::uint8_t { f32, f64, bf16, i32, i64, u8, boolean };

/// The upper 16 bits of an f32: 8 bits of exponent, 7 of fraction. Conversion rounds to nearest even.
struct bf16 {
  std::uint16_t bits = 0;

  constexpr bf16() = default;
  constexpr explicit bf16(float value) : bits(round_from(value)) {}
  constexpr explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
  friend constexpr bool operator==(bf16 a, bf16 b) { return float(a) == float(b); }

 private:
  static constexpr std::uint16_t round_from(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u) return std::uint16_t((u >> 16) | 0x40u);  // keep a NaN a NaN
    return std::uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
};

/// Bytes one element takes.
constexpr std::size_t size_of(DType dtype) {
  constexpr std::size_t sizes[] = {4, 8, 2, 4, 8, 1, 1};
  return sizes[std::size_t(dtype)];
}

/// "f32", "f64", "bf16", "i32", "i64", "u8" or "bool".
constexpr std::string_view name_of(DType dtype) {
  constexpr std::string_view names[] = {"f32", "f64", "bf16", "i32", "i64", "u8", "bool"};
  return names[std::size_t(dtype)];
}

constexpr bool is_floating(DType dtype) { return dtype <= DType::bf16; }
constexpr bool is_integer(DType dtype) { return dtype >= DType::i32 && dtype <= DType::u8; }

template <class T>
inline constexpr bool is_element = false;
template <class T>
inline constexpr DType dtype_of = [] { static_assert(is_element<T>, "not an element type"); }();
#define TAPESTRY_ELEMENT(T, D)                \
  template <>                                 \
  inline constexpr bool is_element<T> = true; \
  template <>                                 \
  inline constexpr DType dtype_of<T> = DType::D;
TAPESTRY_ELEMENT(float, f32)
TAPESTRY_ELEMENT(double, f64)
TAPESTRY_ELEMENT(bf16, bf16)
TAPESTRY_ELEMENT(std::int32_t, i32)
TAPESTRY_ELEMENT(std::int64_t, i64)
TAPESTRY_ELEMENT(std::uint8_t, u8)
TAPESTRY_ELEMENT(bool, boolean)
#undef TAPESTRY_ELEMENT

template <class T>
concept Element = is_element<T>;

/// Calls `f(T{})` with the C++ type that stores `dtype`.
template <class F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return f(double{});
    case DType::bf16:
      return f(bf16{});
    case DType::i32:
      return f(std::int32_t{});
    case DType::i64:
      return f(std::int64_t{});
    case DType::u8:
      return f(std::uint8_t{});
    case DType::boolean:
      return f(bool{});
    case DType::f32:
      break;
  }
  return f(float{});
}

}  // namespace tapestry
