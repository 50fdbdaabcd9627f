#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/pool.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <hwy/cache_control.h>

#ifndef TAPESTRY_POOL_IMAGE
#define TAPESTRY_POOL_IMAGE
namespace tapestry::kernels {
/// One image: `a` and `index` are operands, `to` is what is computed. Shared by the targets.
struct PoolImage {
  DType dtype, index_type;
  const void *a, *index;
  void* to;
  bool large;  // all images together are more than caches hold
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

#include <tapestry/ops/kernels/pool_lanes-inl.hpp>

// A vector of channels of a result at a time: what it needs stays in registers.
HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

/// Which of a window's rows, or columns, are inside of the image: those numbered [begin, end).
struct Inside {
  std::int64_t first, begin, end;  // `first` is where number 0 is
};
HWY_INLINE Inside inside_of(std::int64_t first, std::int64_t size, std::int64_t dilation,
                            std::int64_t extent) {
  const std::int64_t begin = first < 0 ? (dilation - 1 - first) / dilation : 0;
  return {first, begin, std::min(size, (extent - first + dilation - 1) / dilation)};
}

/// The elements of a window that are inside of the image.
struct Window {
  Inside rows, columns;
  std::int64_t result;  // the pixel of its result

  std::int64_t count() const {
    return std::max<std::int64_t>(rows.end - rows.begin, 0) *
           std::max<std::int64_t>(columns.end - columns.begin, 0);
  }
  /// f(number, pixel)
  template <class F>
  HWY_INLINE void visit(const PoolShape& s, const F& f) const {
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const std::int64_t row = (rows.first + i * s.dilation_h) * s.w + columns.first;
      for (std::int64_t j = columns.begin; j < columns.end; ++j) f(i * s.kw + j, row + j * s.dilation_w);
    }
  }
};

/// f(window, first channel, channels that are left) for each vector of each result of an image.
template <class L, class F>
HWY_INLINE void visit_results(const PoolShape& s, const F& f) {
  const auto lanes = std::int64_t(hn::Lanes(typename L::D()));
  for (std::int64_t y = 0; y < s.oh; ++y) {
    const Inside rows = inside_of(y * s.stride_h - s.lo_h, s.kh, s.dilation_h, s.h);
    for (std::int64_t x = 0; x < s.ow; ++x) {
      const Inside columns = inside_of(x * s.stride_w - s.lo_w, s.kw, s.dilation_w, s.w);
      const Window window{rows, columns, y * s.ow + x};
      for (std::int64_t c = 0; c < s.c; c += lanes) f(window, c, s.c - c);
    }
  }
}

/// Writes past the caches where results are too large to be found there again, in whole vectors.
template <class L>
class Writer {
 public:
  using T = typename L::Element;
  Writer(const PoolShape& s, const PoolImage& image)
      : streams_(L::kStreams && image.large && std::size_t(s.c) * sizeof(T) % kBytes == 0 &&
                 reinterpret_cast<std::uintptr_t>(image.to) % kBytes == 0) {}
  ~Writer() {
    if (streams_) hwy::FlushStream();
  }
  Writer(const Writer&) = delete;

  HWY_INLINE void operator()(typename L::V v, T* to, std::int64_t count) const {
    streams_ ? L::stream(v, to) : L::store(v, to, count);
  }

 private:
  static constexpr std::size_t kBytes = hn::MaxLanes(typename L::D()) * sizeof(T);
  const bool streams_;
};

/// Asks for the same element of the windows below too: what is read is far apart, and by itself a CPU doesn't
/// see in time that it goes on like this.
template <class L>
HWY_INLINE typename L::V load(const PoolShape& s, const typename L::Element* from, std::int64_t count) {
  hwy::Prefetch(from + s.stride_h * s.w * s.c);
  return L::load(from, count);
}

template <class L>
struct Largest {
  typename L::V value;
  hn::Vec<typename L::Number> number;
};
template <class L>
HWY_INLINE Largest<L> largest(const PoolShape& s, const Window& window, const typename L::Element* channels,
                              std::int64_t count) {
  const typename L::Number d;
  const auto set = [&](std::int64_t tap) HWY_ATTR { return hn::Set(d, hn::TFromD<decltype(d)>(tap)); };
  auto value = L::lowest(), best = value;  // which the first element may equal
  auto number = set(window.rows.begin * s.kw + window.columns.begin);
  window.visit(s, [&](std::int64_t tap, std::int64_t pixel) HWY_ATTR {
    const auto v = load<L>(s, channels + pixel * s.c, count);
    const auto key = L::key(v);
    const auto larger = L::larger(key, best);
    value = hn::IfThenElse(larger, v, value);
    number = hn::IfThenElse(hn::RebindMask(d, larger), set(tap), number);
    best = hn::IfThenElse(larger, key, best);
  });
  return {value, number};
}

template <class L>
void max_of(const PoolShape& s, const PoolImage& image, const typename L::Element* x,
            typename L::Element* y) {
  const Writer<L> write(s, image);
  visit_results<L>(s, [&](const Window& window, std::int64_t c, std::int64_t count) HWY_ATTR {
    write(largest<L>(s, window, x + c, count).value, y + window.result * s.c + c, count);
  });
}

template <class L, class Index>
void index_of(const PoolShape& s, const typename L::Element* x, Index* index) {
  visit_results<L>(s, [&](const Window& window, std::int64_t c, std::int64_t count) HWY_ATTR {
    store_numbers<L>(largest<L>(s, window, x + c, count).number, index + window.result * s.c + c, count);
  });
}

/// Which lanes have chosen this element of their window.
template <class L>
HWY_INLINE hn::Mask<typename L::D> are(hn::Vec<typename L::Number> chosen, std::int64_t tap) {
  const typename L::Number d;
  return hn::RebindMask(typename L::D(), hn::Eq(chosen, hn::Set(d, hn::TFromD<decltype(d)>(tap))));
}

template <class L, class Index>
void pick(const PoolShape& s, const typename L::Element* x, const Index* index, typename L::Element* y) {
  visit_results<L>(s, [&](const Window& window, std::int64_t c, std::int64_t count) HWY_ATTR {
    const std::int64_t at = window.result * s.c + c;
    const auto chosen = load_numbers<L>(index + at, count);
    auto picked = hn::Zero(typename L::D());
    window.visit(s, [&](std::int64_t tap, std::int64_t pixel) HWY_ATTR {
      picked = hn::IfThenElse(are<L>(chosen, tap), L::load(x + pixel * s.c + c, count), picked);
    });
    L::store(picked, y + at, count);
  });
}

template <class T>
void clear(T* to, std::int64_t count) {
  std::memset(static_cast<void*>(to), 0, std::size_t(count) * sizeof(T));
}

/// Of windows that share no element: each is written once, so there is nothing to add.
template <class L, class Index>
void put_apart(const PoolShape& s, const PoolImage& image, const typename L::Element* y, const Index* index,
               typename L::Element* x) {
  // Windows side by side leave out the last rows and columns only.
  const bool side_by_side =
      s.stride_h == s.kh && s.stride_w == s.kw && s.lo_h == 0 && s.lo_w == 0 && s.oh > 0 && s.ow > 0;
  const std::int64_t rows = side_by_side ? std::min(s.oh * s.kh, s.h) : 0;
  const std::int64_t columns = std::min(s.ow * s.kw, s.w);
  for (std::int64_t row = 0; row < rows; ++row) {
    clear(x + (row * s.w + columns) * s.c, (s.w - columns) * s.c);
  }
  clear(x + rows * s.w * s.c, (s.h - rows) * s.w * s.c);
  const Writer<L> write(s, image);
  visit_results<L>(s, [&](const Window& window, std::int64_t c, std::int64_t count) HWY_ATTR {
    const std::int64_t at = window.result * s.c + c;
    const auto chosen = load_numbers<L>(index + at, count);
    const auto value = L::load(y + at, count);
    window.visit(s, [&](std::int64_t tap, std::int64_t pixel) HWY_ATTR {
      write(hn::IfThenElseZero(are<L>(chosen, tap), value), x + pixel * s.c + c, count);
    });
  });
}

template <class T, class Index>
void put_overlapping(const PoolShape& s, const T* y, const Index* index, T* x) {
  using L = Wide<T>;
  clear(x, s.h * s.w * s.c);
  visit_results<L>(s, [&](const Window& window, std::int64_t c, std::int64_t count) HWY_ATTR {
    const std::int64_t at = window.result * s.c + c;
    const auto chosen = load_numbers<L>(index + at, count);
    const auto value = L::load(y + at, count);
    window.visit(s, [&](std::int64_t tap, std::int64_t pixel) HWY_ATTR {
      T* to = x + pixel * s.c + c;
      L::store(hn::Add(L::load(to, count), hn::IfThenElseZero(are<L>(chosen, tap), value)), to, count);
    });
  });
}

/// 1 over what a window's sum is divided by.
template <class L>
HWY_INLINE typename L::V scale_of(const PoolShape& s, bool inside, const Window& window) {
  using Lane = hn::TFromD<typename L::D>;
  const std::int64_t count = inside ? std::max<std::int64_t>(window.count(), 1) : s.kh * s.kw;
  return hn::Set(typename L::D(), Lane(1) / Lane(count));
}

template <class T>
void mean_of(const PoolShape& s, bool inside, const T* x, T* y) {
  using L = Wide<T>;
  visit_results<L>(s, [&](const Window& window, std::int64_t c, std::int64_t count) HWY_ATTR {
    auto sum = hn::Zero(typename L::D());
    window.visit(s, [&](std::int64_t, std::int64_t pixel)
                        HWY_ATTR { sum = hn::Add(sum, L::load(x + pixel * s.c + c, count)); });
    L::store(hn::Mul(sum, scale_of<L>(s, inside, window)), y + window.result * s.c + c, count);
  });
}

template <class T>
void spread(const PoolShape& s, bool inside, const T* y, T* x) {
  using L = Wide<T>;
  clear(x, s.h * s.w * s.c);
  visit_results<L>(s, [&](const Window& window, std::int64_t c, std::int64_t count) HWY_ATTR {
    const auto value = L::load(y + window.result * s.c + c, count);
    const auto share = hn::Mul(value, scale_of<L>(s, inside, window));
    window.visit(s, [&](std::int64_t, std::int64_t pixel) HWY_ATTR {
      T* to = x + pixel * s.c + c;
      L::store(hn::Add(L::load(to, count), share), to, count);
    });
  });
}

template <class F>
void with_type(DType dtype, const F& f) {
  if (dtype == DType::f64) return f(double{});
  if (dtype == DType::bf16) return f(bf16{});
  f(float{});
}
/// f(lanes, number): bf16 as bits wherever their lanes hold the numbers.
template <class F>
void with_types(const PoolImage& i, const F& f) {
  const bool small = i.index_type == DType::u8;
  if (i.dtype == DType::bf16 && small) return f(Narrow{}, std::uint8_t{});
  with_type(i.dtype, [&](auto t) {
    using L = Wide<decltype(t)>;
    small ? f(L{}, std::uint8_t{}) : f(L{}, std::int32_t{});
  });
}

void max_image(const PoolShape& s, const PoolImage& i) {
  if (i.dtype == DType::bf16) {
    return max_of<Narrow>(s, i, static_cast<const bf16*>(i.a), static_cast<bf16*>(i.to));
  }
  with_type(i.dtype, [&](auto t) {
    using T = decltype(t);
    max_of<Wide<T>>(s, i, static_cast<const T*>(i.a), static_cast<T*>(i.to));
  });
}
void index_image(const PoolShape& s, const PoolImage& i) {
  with_types(i, [&](auto lanes, auto number) {
    using L = decltype(lanes);
    index_of<L>(s, static_cast<const typename L::Element*>(i.a), static_cast<decltype(number)*>(i.to));
  });
}
void pick_image(const PoolShape& s, const PoolImage& i) {
  with_types(i, [&](auto lanes, auto number) {
    using L = decltype(lanes);
    using T = typename L::Element;
    pick<L>(s, static_cast<const T*>(i.a), static_cast<const decltype(number)*>(i.index),
            static_cast<T*>(i.to));
  });
}
void put_image(const PoolShape& s, const PoolImage& i) {
  const bool apart = s.stride_h >= s.kh && s.stride_w >= s.kw && s.dilation_h == 1 && s.dilation_w == 1;
  with_types(i, [&](auto lanes, auto number) {
    using L = decltype(lanes);
    using T = typename L::Element;
    const auto* y = static_cast<const T*>(i.a);
    const auto* index = static_cast<const decltype(number)*>(i.index);
    apart ? put_apart<L>(s, i, y, index, static_cast<T*>(i.to))
          : put_overlapping(s, y, index, static_cast<T*>(i.to));
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
  constexpr std::size_t kLarge = std::size_t{32} << 20;
  const auto part = [&](const ConstView& view) { return view.type.bytes() / std::size_t(s.n); };
  const std::int64_t most = std::max<std::int64_t>(kShare / std::max<std::int64_t>(s.h * s.w * s.c, 1), 1);
  parallel_ranges(s.n, most, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto n = std::size_t(i);
      const ConstView& numbers = index ? *index : ConstView(to);
      run(PoolImage{a.type.dtype, numbers.type.dtype, static_cast<const std::byte*>(a.data) + n * part(a),
                    index ? static_cast<const std::byte*>(index->data) + n * part(*index) : nullptr,
                    static_cast<std::byte*>(to.data) + n * part(to), to.type.bytes() >= kLarge});
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
