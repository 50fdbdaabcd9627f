#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/pool.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>

#ifndef TAPESTRY_POOL_IMAGE
#define TAPESTRY_POOL_IMAGE
namespace tapestry::kernels {
/// One image: `a` and `index` are operands, `to` is what is computed. Shared by the targets.
struct PoolImage {
  DType dtype, index_type;
  const void *a, *index;
  void* to;
};
}  // namespace tapestry::kernels
#endif

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/pool.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

// Loops over the channels of a pixel, a block at a time, which the compiler makes vectors of for each target.
HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::int64_t kBlock = 64;

template <class T>
using Computed = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

// Elements that are only moved, as integers: of these, unlike of bf16, the compiler makes vectors.
template <std::size_t>
struct BitsOf;
template <>
struct BitsOf<2> {
  using type [[gnu::may_alias]] = std::uint16_t;
};
template <>
struct BitsOf<4> {
  using type [[gnu::may_alias]] = std::uint32_t;
};
template <>
struct BitsOf<8> {
  using type [[gnu::may_alias]] = std::uint64_t;
};

/// to[i] = chosen[i] == tap ? from[i] : otherwise(i)
template <class T, class Index, class Otherwise>
HWY_INLINE void move_chosen(const T* from, const Index* HWY_RESTRICT chosen, Index tap, T* to,
                            std::int64_t count, const Otherwise& otherwise) {
  const auto* HWY_RESTRICT source = reinterpret_cast<const typename BitsOf<sizeof(T)>::type*>(from);
  auto* HWY_RESTRICT target = reinterpret_cast<typename BitsOf<sizeof(T)>::type*>(to);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = source[i], other = otherwise(target[i]);  // read both: a choice, not a branch
    target[i] = chosen[i] == tap ? value : other;
  }
}

/// Where a window's elements are that are inside of the image: f(number, pixel).
template <class F>
HWY_INLINE void visit_window(const PoolShape& s, std::int64_t y, std::int64_t x, const F& f) {
  for (std::int64_t i = 0; i < s.kh; ++i) {
    const std::int64_t row = y * s.stride_h - s.lo_h + i * s.dilation_h;
    if (row < 0 || row >= s.h) continue;
    for (std::int64_t j = 0; j < s.kw; ++j) {
      const std::int64_t column = x * s.stride_w - s.lo_w + j * s.dilation_w;
      if (column >= 0 && column < s.w) f(i * s.kw + j, row * s.w + column);
    }
  }
}

/// Calls f(pixel of the result, y, x, first channel, channels) for blocks of all results of an image.
template <class F>
HWY_INLINE void visit_results(const PoolShape& s, const F& f) {
  for (std::int64_t y = 0; y < s.oh; ++y) {
    for (std::int64_t x = 0; x < s.ow; ++x) {
      for (std::int64_t c = 0; c < s.c; c += kBlock) f(y * s.ow + x, y, x, c, std::min(kBlock, s.c - c));
    }
  }
}

/// The largest element so far and its number, of a block of channels.
template <class T>
struct Largest {
  T value[kBlock];
  std::int32_t number[kBlock];

  HWY_INLINE void find(const PoolShape& s, std::int64_t y, std::int64_t x, const auto* image, std::int64_t c,
                       std::int64_t count) {
    bool first = true;
    visit_window(s, y, x, [&](std::int64_t tap, std::int64_t pixel) {
      const auto* from = image + pixel * s.c + c;
      if (first) {
        for (std::int64_t i = 0; i < count; ++i) value[i] = T(from[i]);
        for (std::int64_t i = 0; i < count; ++i) number[i] = std::int32_t(tap);
      } else {
        for (std::int64_t i = 0; i < count; ++i) {
          const T v = T(from[i]), best = value[i];
          const bool larger = !(v <= best) & (best == best);  // a NaN is larger than a number
          value[i] = larger ? v : best;
          number[i] = larger ? std::int32_t(tap) : number[i];
        }
      }
      first = false;
    });
  }
};

template <class T>
void max_of(const PoolShape& s, const T* image, T* results) {
  Largest<Computed<T>> largest;
  visit_results(s, [&](std::int64_t at, std::int64_t y, std::int64_t x, std::int64_t c, std::int64_t count) {
    largest.find(s, y, x, image, c, count);
    T* to = results + at * s.c + c;
    for (std::int64_t i = 0; i < count; ++i) to[i] = T(largest.value[i]);
  });
}

template <class T, class Index>
void index_of(const PoolShape& s, const T* image, Index* index) {
  Largest<Computed<T>> largest;
  visit_results(s, [&](std::int64_t at, std::int64_t y, std::int64_t x, std::int64_t c, std::int64_t count) {
    largest.find(s, y, x, image, c, count);
    Index* to = index + at * s.c + c;
    for (std::int64_t i = 0; i < count; ++i) to[i] = Index(largest.number[i]);
  });
}

template <class T, class Index>
void pick(const PoolShape& s, const T* image, const Index* index, T* results) {
  visit_results(s, [&](std::int64_t at, std::int64_t y, std::int64_t x, std::int64_t c, std::int64_t count) {
    const Index* chosen = index + at * s.c + c;
    T* to = results + at * s.c + c;
    for (std::int64_t i = 0; i < count; ++i) to[i] = T(0);
    visit_window(s, y, x, [&](std::int64_t tap, std::int64_t pixel) {
      const T* from = image + pixel * s.c + c;
      move_chosen(from, chosen, Index(tap), to, count, [](auto before) { return before; });
    });
  });
}

template <class T, class Index>
void put(const PoolShape& s, const T* results, const Index* index, T* image) {
  // Windows that share no element write each one once: there is nothing to add.
  const bool apart = s.stride_h >= s.kh && s.stride_w >= s.kw && s.dilation_h == 1 && s.dilation_w == 1;
  const bool cover = apart && s.stride_h == s.kh && s.stride_w == s.kw && s.lo_h == 0 && s.lo_w == 0 &&
                     s.oh * s.kh == s.h && s.ow * s.kw == s.w;
  if (!cover) std::fill_n(image, s.h * s.w * s.c, T(0));
  visit_results(s, [&](std::int64_t at, std::int64_t y, std::int64_t x, std::int64_t c, std::int64_t count) {
    const Index* chosen = index + at * s.c + c;
    const T* from = results + at * s.c + c;
    visit_window(s, y, x, [&](std::int64_t tap, std::int64_t pixel) {
      T* to = image + pixel * s.c + c;
      if (apart) {
        move_chosen(from, chosen, Index(tap), to, count, [](auto before) { return decltype(before)(0); });
      } else {
        using S = Computed<T>;
        for (std::int64_t i = 0; i < count; ++i) {
          to[i] = T(S(to[i]) + (chosen[i] == Index(tap) ? S(from[i]) : S(0)));
        }
      }
    });
  });
}

/// What a window's sum is divided by.
HWY_INLINE std::int64_t divisor(const PoolShape& s, bool inside, std::int64_t y, std::int64_t x) {
  if (!inside) return s.kh * s.kw;
  std::int64_t count = 0;
  visit_window(s, y, x, [&](std::int64_t, std::int64_t) { ++count; });
  return std::max<std::int64_t>(count, 1);
}

template <class T>
void mean_of(const PoolShape& s, bool inside, const T* image, T* results) {
  using S = Computed<T>;
  S sum[kBlock];
  visit_results(s, [&](std::int64_t at, std::int64_t y, std::int64_t x, std::int64_t c, std::int64_t count) {
    std::fill_n(sum, count, S(0));
    visit_window(s, y, x, [&](std::int64_t, std::int64_t pixel) {
      const T* from = image + pixel * s.c + c;
      for (std::int64_t i = 0; i < count; ++i) sum[i] += S(from[i]);
    });
    const S scale = S(1) / S(divisor(s, inside, y, x));
    T* to = results + at * s.c + c;
    for (std::int64_t i = 0; i < count; ++i) to[i] = T(sum[i] * scale);
  });
}

template <class T>
void spread(const PoolShape& s, bool inside, const T* results, T* image) {
  using S = Computed<T>;
  std::fill_n(image, s.h * s.w * s.c, T(0));
  visit_results(s, [&](std::int64_t at, std::int64_t y, std::int64_t x, std::int64_t c, std::int64_t count) {
    const S scale = S(1) / S(divisor(s, inside, y, x));
    const T* from = results + at * s.c + c;
    visit_window(s, y, x, [&](std::int64_t, std::int64_t pixel) {
      T* to = image + pixel * s.c + c;
      for (std::int64_t i = 0; i < count; ++i) to[i] = T(S(to[i]) + S(from[i]) * scale);
    });
  });
}

template <class F>
void with_type(DType dtype, const F& f) {
  if (dtype == DType::f64) return f(double{});
  if (dtype == DType::bf16) return f(bf16{});
  f(float{});
}
template <class F>
void with_types(const PoolImage& i, const F& f) {
  with_type(i.dtype, [&](auto t) {
    using T = decltype(t);
    if (i.index_type == DType::u8)
      return f(static_cast<const T*>(i.a), static_cast<const std::uint8_t*>(i.index));
    f(static_cast<const T*>(i.a), static_cast<const std::int32_t*>(i.index));
  });
}

void max_image(const PoolShape& s, const PoolImage& i) {
  with_type(i.dtype, [&](auto t) {
    using T = decltype(t);
    max_of(s, static_cast<const T*>(i.a), static_cast<T*>(i.to));
  });
}
void index_image(const PoolShape& s, const PoolImage& i) {
  with_types(i, [&](const auto* a, const auto* index) {
    using Index = std::remove_cvref_t<decltype(*index)>;
    index_of(s, a, static_cast<Index*>(i.to));
  });
}
void pick_image(const PoolShape& s, const PoolImage& i) {
  with_types(i, [&](const auto* a, const auto* index) {
    pick(s, a, index, static_cast<std::remove_cvref_t<decltype(*a)>*>(i.to));
  });
}
void put_image(const PoolShape& s, const PoolImage& i) {
  with_types(i, [&](const auto* a, const auto* index) {
    put(s, a, index, static_cast<std::remove_cvref_t<decltype(*a)>*>(i.to));
  });
}
void mean_image(const PoolShape& s, bool inside, const PoolImage& i) {
  with_type(i.dtype, [&](auto t) {
    using T = decltype(t);
    mean_of(s, inside, static_cast<const T*>(i.a), static_cast<T*>(i.to));
  });
}
void spread_image(const PoolShape& s, bool inside, const PoolImage& i) {
  with_type(i.dtype, [&](auto t) {
    using T = decltype(t);
    spread(s, inside, static_cast<const T*>(i.a), static_cast<T*>(i.to));
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(max_image);
HWY_EXPORT(index_image);
HWY_EXPORT(pick_image);
HWY_EXPORT(put_image);
HWY_EXPORT(mean_image);
HWY_EXPORT(spread_image);

/// Calls run(image) for each image of the batch.
template <class Run>
void each_image(const PoolShape& s, const ConstView& a, const ConstView* index, const View& to,
                const Run& run) {
  if (s.n == 0 || s.c == 0) return;
  constexpr std::int64_t kShare = 64 * 1024;  // elements worth sharing
  const auto part = [&](const ConstView& view) { return view.type.bytes() / std::size_t(s.n); };
  const std::int64_t most = std::max<std::int64_t>(kShare / std::max<std::int64_t>(s.h * s.w * s.c, 1), 1);
  parallel_ranges(s.n, most, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto n = std::size_t(i);
      const ConstView& numbers = index ? *index : ConstView(to);
      run(PoolImage{a.type.dtype, numbers.type.dtype, static_cast<const std::byte*>(a.data) + n * part(a),
                    index ? static_cast<const std::byte*>(index->data) + n * part(*index) : nullptr,
                    static_cast<std::byte*>(to.data) + n * part(to)});
    }
  });
}

}  // namespace

void max_pool(const PoolShape& s, const ConstView& x, const View& y) {
  each_image(s, x, nullptr, y, [&](const auto& image) { HWY_DYNAMIC_DISPATCH(max_image)(s, image); });
}
void max_pool_index(const PoolShape& s, const ConstView& x, const View& index) {
  each_image(s, x, nullptr, index, [&](const auto& image) { HWY_DYNAMIC_DISPATCH(index_image)(s, image); });
}
void pool_pick(const PoolShape& s, const ConstView& x, const ConstView& index, const View& y) {
  each_image(s, x, &index, y, [&](const auto& image) { HWY_DYNAMIC_DISPATCH(pick_image)(s, image); });
}
void pool_put(const PoolShape& s, const ConstView& y, const ConstView& index, const View& x) {
  each_image(s, y, &index, x, [&](const auto& image) { HWY_DYNAMIC_DISPATCH(put_image)(s, image); });
}
void mean_pool(const PoolShape& s, bool inside, const ConstView& x, const View& y) {
  each_image(s, x, nullptr, y, [&](const auto& image) {
    HWY_DYNAMIC_DISPATCH(mean_image)(s, inside, image);
  });
}
void mean_pool_images(const PoolShape& s, bool inside, const ConstView& y, const View& x) {
  each_image(s, y, nullptr, x, [&](const auto& image) {
    HWY_DYNAMIC_DISPATCH(spread_image)(s, inside, image);
  });
}

}  // namespace tapestry::kernels
#endif
