#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/random.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <algorithm>
#include <cstring>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/random.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
template <class D, class V = hn::Vec<D>>
HWY_INLINE void philox(D d, V& c0, V& c1, V& c2, V& c3, std::uint32_t key0, std::uint32_t key1) {
  const auto words =
      philox4x32({hn::GetLane(c0), hn::GetLane(c1), hn::GetLane(c2), hn::GetLane(c3)}, {key0, key1});
  c0 = hn::Set(d, words[0]);
  c1 = hn::Set(d, words[1]);
  c2 = hn::Set(d, words[2]);
  c3 = hn::Set(d, words[3]);
}
#else
/// Counters in the lower halves of 64-bit lanes; what is in the upper ones doesn't matter: products don't see
/// it.
template <class D32, class V>
HWY_INLINE void philox_round(D32 d, V& c0, V& c1, V& c2, V& c3, V key0, V key1) {
  const V product0 = hn::MulEven(hn::BitCast(d, c0), hn::Set(d, 0xd2511f53u));
  const V product1 = hn::MulEven(hn::BitCast(d, c2), hn::Set(d, 0xcd9e8d57u));
  c0 = hn::Xor3(hn::ShiftRight<32>(product1), c1, key0);
  c1 = product1;
  c2 = hn::Xor3(hn::ShiftRight<32>(product0), c3, key1);
  c3 = product0;
}

/// philox4x32 of a counter in each lane.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void philox(D d, V& c0, V& c1, V& c2, V& c3, std::uint32_t key0, std::uint32_t key1) {
  const hn::Repartition<std::uint64_t, D> wide;
  const auto even = [&](V v) HWY_ATTR { return hn::BitCast(wide, v); };
  const auto odd = [&](V v) HWY_ATTR { return hn::ShiftRight<32>(hn::BitCast(wide, v)); };
  auto a0 = even(c0), a1 = even(c1), a2 = even(c2), a3 = even(c3);
  auto b0 = odd(c0), b1 = odd(c1), b2 = odd(c2), b3 = odd(c3);
  for (int round = 0; round < 10; ++round) {
    const auto k0 = hn::Set(wide, key0), k1 = hn::Set(wide, key1);
    philox_round(d, a0, a1, a2, a3, k0, k1);
    philox_round(d, b0, b1, b2, b3, k0, k1);
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  const auto both = [&](auto a, auto b) HWY_ATTR {
    return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(b)), hn::BitCast(d, a));
  };
  c0 = both(a0, b0);
  c1 = both(a1, b1);
  c2 = both(a2, b2);
  c3 = both(a3, b3);
}
#endif

/// The same for one counter.
HWY_INLINE std::array<std::uint32_t, 4> block_at(const RandomKey& key, std::int64_t block) {
  const auto seed = std::uint64_t(key[0]), step = std::uint64_t(key[1]), counter = std::uint64_t(block);
  return philox4x32({low_word(counter), high_word(counter), low_word(step), high_word(step)},
                    {low_word(seed), high_word(seed)});
}

// The most words that one vector of counters makes.
constexpr std::size_t kWords = HWY_MAX_BYTES;

/// Calls `store(d, words 0, 1, 2, 3, count)` for the `blocks` counters from `first` on, a vector of them at a
/// time; count tells how many lanes of it are wanted.
template <class Store>
HWY_INLINE void each_block(const RandomKey& key, std::uint64_t first, std::int64_t blocks,
                           const Store& store) {
  const hn::ScalableTag<std::uint32_t> d;
  const auto lanes = std::int64_t(hn::Lanes(d));
  const auto seed = std::uint64_t(key[0]), step = std::uint64_t(key[1]);
  for (std::int64_t at = 0; at < blocks; at += lanes) {
    // The lower word of the counter may run over within the vector.
    const std::uint64_t block = first + std::uint64_t(at);
    auto c0 = hn::Add(hn::Set(d, low_word(block)), hn::Iota(d, 0));
    const auto carry = hn::Lt(c0, hn::Set(d, low_word(block)));
    const auto upper = hn::Set(d, high_word(block));
    auto c1 = hn::IfThenElse(carry, hn::Add(upper, hn::Set(d, 1)), upper);
    auto c2 = hn::Set(d, low_word(step)), c3 = hn::Set(d, high_word(step));
    philox(d, c0, c1, c2, c3, low_word(seed), high_word(seed));
    store(d, c0, c1, c2, c3, at, std::min(lanes, blocks - at));
  }
}

/// Elements [begin, end) into y[begin] ...
void uniform_f32(const RandomKey& key, std::int64_t begin, std::int64_t end, float* y) {
  for (; begin % 4 != 0 && begin < end; ++begin) {
    y[begin] = unit_f32(block_at(key, begin / 4)[std::size_t(begin % 4)]);
  }
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> di;
  each_block(key, std::uint64_t(begin / 4), (end - begin + 3) / 4,
             [&](auto, auto w0, auto w1, auto w2, auto w3, std::int64_t at, std::int64_t count) HWY_ATTR {
               const auto unit = [&](auto words) HWY_ATTR {
                 return hn::Mul(hn::ConvertTo(df, hn::BitCast(di, hn::ShiftRight<8>(words))),
                                hn::Set(df, 0x1p-24f));
               };
               const std::int64_t from = begin + 4 * at, wanted = std::min(4 * count, end - from);
               if (wanted == 4 * std::int64_t(hn::Lanes(df))) {
                 hn::StoreInterleaved4(unit(w0), unit(w1), unit(w2), unit(w3), df, y + from);
               } else {
                 HWY_ALIGN float buffer[kWords];
                 hn::StoreInterleaved4(unit(w0), unit(w1), unit(w2), unit(w3), df, buffer);
                 std::copy_n(buffer, wanted, y + from);
               }
             });
}

/// The same in f64.
void uniform_f64(const RandomKey& key, std::int64_t begin, std::int64_t end, double* y) {
  if (begin % 2 != 0 && begin < end) {
    const std::array words = block_at(key, begin / 2);
    y[begin] = unit_f64(words[2], words[3]);
    ++begin;
  }
  each_block(key, std::uint64_t(begin / 2), (end - begin + 1) / 2,
             [&](auto d, auto w0, auto w1, auto w2, auto w3, std::int64_t at, std::int64_t count) HWY_ATTR {
               HWY_ALIGN std::uint32_t words[kWords];
               hn::StoreInterleaved4(w0, w1, w2, w3, d, words);
               const std::int64_t from = begin + 2 * at, wanted = std::min(2 * count, end - from);
               for (std::int64_t i = 0; i < wanted; ++i)
                 y[from + i] = unit_f64(words[2 * i], words[2 * i + 1]);
             });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(uniform_f32);
HWY_EXPORT(uniform_f64);

constexpr std::int64_t kChunk = 32 * 1024;

}  // namespace

void random_uniform(const RandomKey& key, const View& y) {
  const std::int64_t n = y.type.shape.elements();
  if (y.type.dtype == DType::f32) {
    const auto fill = HWY_DYNAMIC_DISPATCH(uniform_f32);
    parallel_ranges(
        n, kChunk, [&](std::int64_t begin, std::int64_t end) { fill(key, begin, end, y.as<float>()); }, 64);
  } else {
    require(y.type.dtype == DType::f64, "random_uniform: ", y.type, " is neither f32 nor f64");
    const auto fill = HWY_DYNAMIC_DISPATCH(uniform_f64);
    parallel_ranges(
        n, kChunk, [&](std::int64_t begin, std::int64_t end) { fill(key, begin, end, y.as<double>()); }, 64);
  }
}

void random_uniform(const RandomKey& key, std::int64_t first, std::span<float> y) {
  HWY_DYNAMIC_DISPATCH(uniform_f32)(key, first, first + std::int64_t(y.size()), y.data() - first);
}
void random_uniform(const RandomKey& key, std::int64_t first, std::span<double> y) {
  HWY_DYNAMIC_DISPATCH(uniform_f64)(key, first, first + std::int64_t(y.size()), y.data() - first);
}

void random_permutation(const RandomKey& key, const View& y) {
  require(y.type.dtype == DType::i64, "random_permutation: ", y.type, " is not i64");
  permutation({y.as<std::int64_t>(), std::size_t(y.type.shape.elements())}, std::uint64_t(key[0]),
              std::uint64_t(key[1]));
}

}  // namespace tapestry::kernels
#endif
