// Loads and stores of the storage dtypes. Plain loops: the compiler vectorises them for each target.
#include <tapestry/ops/kernels/loop_tables.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <hwy/cache_control.h>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/loop_convert.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

template <class To, class From>
HWY_INLINE To convert(From value) {
  if constexpr (std::is_same_v<From, bf16>) {
    return To(float(value));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return bf16(float(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_same_v<To, std::uint8_t> && std::is_floating_point_v<From>) {
    return To(std::int32_t(value));
  } else {
    return To(value);
  }
}

template <class From, class To>
void load(const void* from, std::int64_t row_stride, std::int64_t stride, std::int64_t rows,
          std::int64_t columns, void* block) {
  To* to = static_cast<To*>(block);
  for (std::int64_t row = 0; row < rows; ++row, to += columns) {
    const From* source = static_cast<const From*>(from) + row * row_stride;
    if (stride == 1) {
      for (std::int64_t i = 0; i < columns; ++i) to[i] = convert<To>(source[i]);
    } else if (stride == 0) {
      const To value = convert<To>(*source);
      for (std::int64_t i = 0; i < columns; ++i) to[i] = value;
    } else {
      for (std::int64_t i = 0; i < columns; ++i) to[i] = convert<To>(source[i * stride]);
    }
  }
}

template <class From, class To>
void store(const void* block, void* to, std::int64_t row_stride, std::int64_t stride, std::int64_t rows,
           std::int64_t columns) {
  const From* from = static_cast<const From*>(block);
  for (std::int64_t row = 0; row < rows; ++row, from += columns) {
    To* target = static_cast<To*>(to) + row * row_stride;
    if (stride == 1) {
      for (std::int64_t i = 0; i < columns; ++i) target[i] = convert<To>(from[i]);
    } else {
      for (std::int64_t i = 0; i < columns; ++i) target[i * stride] = convert<To>(from[i]);
    }
  }
}

template <class To>
void iota(std::int64_t first, std::int64_t row_stride, std::int64_t stride, std::int64_t rows,
          std::int64_t columns, void* block) {
  To* to = static_cast<To*>(block);
  for (std::int64_t row = 0; row < rows; ++row, to += columns) {
    for (std::int64_t i = 0; i < columns; ++i) to[i] = To(first + row * row_stride + i * stride);
  }
}

void stream(const void* from, void* to, std::int64_t bytes) {
  const hwy::HWY_NAMESPACE::ScalableTag<std::uint8_t> d;
  const auto vector = std::int64_t(hwy::HWY_NAMESPACE::Lanes(d));
  const auto* source = static_cast<const std::uint8_t*>(from);
  auto* target = static_cast<std::uint8_t*>(to);
  const std::int64_t head =
      std::min(bytes, -std::int64_t(reinterpret_cast<std::uintptr_t>(to)) & (vector - 1));
  std::memcpy(target, source, std::size_t(head));
  std::int64_t done = head;
  for (; done + vector <= bytes; done += vector) {
    hwy::HWY_NAMESPACE::Stream(hwy::HWY_NAMESPACE::LoadU(d, source + done), d, target + done);
  }
  std::memcpy(target + done, source + done, std::size_t(bytes - done));
}
Stream the_stream() { return &stream; }

template <class T>
Load load_of(DType dtype) {
  return visit_dtype(dtype, [](auto from) -> Load { return &load<decltype(from), T>; });
}
template <class T>
Store store_of(DType dtype) {
  return visit_dtype(dtype, [](auto to) -> Store { return &store<T, decltype(to)>; });
}

Load load_for(Lane lane, DType dtype) {
  return lane == Lane::f32   ? load_of<float>(dtype)
         : lane == Lane::f64 ? load_of<double>(dtype)
                             : load_of<std::int64_t>(dtype);
}
Store store_for(Lane lane, DType dtype) {
  return lane == Lane::f32   ? store_of<float>(dtype)
         : lane == Lane::f64 ? store_of<double>(dtype)
                             : store_of<std::int64_t>(dtype);
}
Iota iota_for(Lane lane) {
  return lane == Lane::f32 ? &iota<float> : lane == Lane::f64 ? &iota<double> : &iota<std::int64_t>;
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(load_for);
HWY_EXPORT(store_for);
HWY_EXPORT(iota_for);
HWY_EXPORT(the_stream);

Load find_load(Lane lane, DType dtype) { return HWY_DYNAMIC_DISPATCH(load_for)(lane, dtype); }
Store find_store(Lane lane, DType dtype) { return HWY_DYNAMIC_DISPATCH(store_for)(lane, dtype); }
Stream find_stream() { return HWY_DYNAMIC_DISPATCH(the_stream)(); }
void flush_streams() { hwy::FlushStream(); }
Iota find_iota(Lane lane) { return HWY_DYNAMIC_DISPATCH(iota_for)(lane); }

}  // namespace tapestry::kernels
#endif
