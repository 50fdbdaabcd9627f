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

/// The words of one counter.
HWY_INLINE std::array<std::uint32_t, 4> block_at(const RandomKey& key, std::int64_t block) {
  const auto seed = std::uint64_t(key[0]), step = std::uint64_t(key[1]), counter = std::uint64_t(block);
  return philox4x32({low_word(counter), high_word(counter), low_word(step), high_word(step)},
                    {low_word(seed), high_word(seed)});
}

#if HWY_TARGET == HWY_SCALAR
using Words = hn::ScalableTag<std::uint32_t>;

/// Calls `store(words, number)` for the words of `blocks` counters from `first` on, in order, a vector at a
/// time; `number` counts words.
template <class Store>
HWY_INLINE void each_vector(const RandomKey& key, std::uint64_t first, std::int64_t blocks,
                            const Store& store) {
  for (std::int64_t at = 0; at < 4 * blocks; ++at) {
    store(hn::Set(Words(), block_at(key, std::int64_t(first) + at / 4)[std::size_t(at % 4)]), at);
  }
}
#else
using Wide = hn::ScalableTag<std::uint64_t>;
using Words = hn::Repartition<std::uint32_t, Wide>;
using WideVector = hn::Vec<Wide>;

/// A counter's word in each 64-bit lane, in its lower half; what is in the upper one doesn't matter: products
/// don't see it.
struct Counters {
  WideVector c0, c1, c2, c3;
};

HWY_INLINE WideVector times(WideVector words, std::uint32_t factor) {
  return hn::MulEven(hn::BitCast(Words(), words), hn::Set(Words(), factor));
}
constexpr std::uint32_t kFactor0 = 0xd2511f53u, kFactor1 = 0xcd9e8d57u;

/// The upper halves, by another port of the CPU than the shifts.
HWY_INLINE WideVector upper(WideVector v) { return hn::BitCast(Wide(), hn::DupOdd(hn::BitCast(Words(), v))); }

HWY_INLINE void philox_round(Counters& c, WideVector key0, WideVector key1) {
  const WideVector product0 = times(c.c0, kFactor0), product1 = times(c.c2, kFactor1);
  c = {hn::Xor3(hn::ShiftRight<32>(product1), c.c1, key0), product1, hn::Xor3(upper(product0), c.c3, key1),
       product0};
}

/// philox4x32 of counters that differ in their first word alone.
class Philox {
 public:
  Philox(const RandomKey& key, std::uint32_t word1) {
    const auto seed = std::uint64_t(key[0]), step = std::uint64_t(key[1]);
    std::uint32_t key0 = low_word(seed), key1 = high_word(seed);
    for (std::size_t round = 0; round < kRounds; ++round) {
      hn::Store(hn::Set(Wide(), key0), Wide(), keys_[round][0]);
      hn::Store(hn::Set(Wide(), key1), Wide(), keys_[round][1]);
      key0 += 0x9e3779b9u;
      key1 += 0xbb67ae85u;
    }
    // Half of the first round and a part of the second are the same for all counters.
    const WideVector product1 = times(hn::Set(Wide(), low_word(step)), kFactor1);
    const WideVector c0 =
        hn::Xor3(hn::ShiftRight<32>(product1), hn::Set(Wide(), word1), hn::Load(Wide(), keys_[0][0]));
    const WideVector product0 = times(c0, kFactor0);
    hn::Store(hn::Xor(hn::Set(Wide(), high_word(step)), hn::Load(Wide(), keys_[0][1])), Wide(), first_[0]);
    hn::Store(hn::Xor(product1, hn::Load(Wide(), keys_[1][0])), Wide(), first_[1]);
    hn::Store(hn::Xor(hn::ShiftRight<32>(product0), hn::Load(Wide(), keys_[1][1])), Wide(), first_[2]);
    hn::Store(product0, Wide(), first_[3]);
  }

  template <class... C>
  HWY_INLINE void operator()(C&... counters) const {
    (two_rounds(counters), ...);
    for (std::size_t round = 2; round < kRounds; ++round) {
      const WideVector key0 = hn::Load(Wide(), keys_[round][0]), key1 = hn::Load(Wide(), keys_[round][1]);
      (philox_round(counters, key0, key1), ...);
    }
  }

 private:
  static constexpr std::size_t kRounds = 10, kLanes = HWY_MAX_BYTES / sizeof(std::uint64_t);

  HWY_INLINE void two_rounds(Counters& c) const {
    const WideVector product0 = times(c.c0, kFactor0);
    const WideVector c2 = hn::Xor(upper(product0), hn::Load(Wide(), first_[0]));
    const WideVector product1 = times(c2, kFactor1);
    c = {hn::Xor(hn::ShiftRight<32>(product1), hn::Load(Wide(), first_[1])), product1,
         hn::Xor(product0, hn::Load(Wide(), first_[2])), hn::Load(Wide(), first_[3])};
  }

  HWY_ALIGN std::uint64_t keys_[kRounds][2][kLanes];
  HWY_ALIGN std::uint64_t first_[4][kLanes];
};

/// Calls `store(words, number)` for the words of `blocks` counters from `first` on, in order, a vector at a
/// time; `number` counts words. At the end there may be more of them than asked for.
template <class Store>
HWY_INLINE void each_vector(const RandomKey& key, std::uint64_t first, std::int64_t blocks,
                            const Store& store) {
  const Wide d;
  const Words words;
  const auto lanes = std::int64_t(hn::Lanes(d));
  // So that 16 bytes of one vector and of another, put together, are the words of a counter, and vectors of
  // these in order.
  HWY_ALIGN std::uint64_t order[HWY_MAX_BYTES / sizeof(std::uint64_t)];
  for (std::int64_t i = 0; i < lanes; ++i) order[i] = std::uint64_t(i / 2 + i % 2 * (lanes / 2));
  const WideVector offsets = hn::Load(d, order);
  const auto put = [&](const Counters& c, std::int64_t at) HWY_ATTR {
    const auto both = [&](WideVector low, WideVector high) HWY_ATTR {
      return hn::BitCast(d, hn::OddEven(hn::DupEven(hn::BitCast(words, high)), hn::BitCast(words, low)));
    };
    const WideVector w01 = both(c.c0, c.c1), w23 = both(c.c2, c.c3);
    store(hn::BitCast(words, hn::InterleaveLower(d, w01, w23)), 4 * at);
    store(hn::BitCast(words, hn::InterleaveUpper(d, w01, w23)), 4 * at + 2 * lanes);
  };
  for (std::int64_t done = 0; done < blocks;) {
    const std::uint64_t block = first + std::uint64_t(done);
    // Until the first word runs over.
    const std::int64_t end = done + std::min(blocks - done, (std::int64_t{1} << 32) - low_word(block));
    const Philox philox(key, high_word(block));
    const auto at = [&](std::int64_t counter) HWY_ATTR {
      return Counters{hn::Add(hn::Set(d, first + std::uint64_t(counter)), offsets), offsets, offsets,
                      offsets};
    };
    for (; done + 2 * lanes < end; done += 4 * lanes) {
      Counters c0 = at(done), c1 = at(done + lanes), c2 = at(done + 2 * lanes), c3 = at(done + 3 * lanes);
      philox(c0, c1, c2, c3);
      put(c0, done);
      put(c1, done + lanes);
      put(c2, done + 2 * lanes);
      put(c3, done + 3 * lanes);
    }
    for (; done < end; done += lanes) {
      Counters c = at(done);
      philox(c);
      put(c, done);
    }
    done = end;
  }
}
#endif

/// Elements [begin, end) into y[begin] ... `meanwhile`: memory to ask for, or null.
void uniform_f32(const RandomKey& key, std::int64_t begin, std::int64_t end, float* y,
                 const float* meanwhile) {
  for (; begin % 4 != 0 && begin < end; ++begin) {
    y[begin] = unit_f32(block_at(key, begin / 4)[std::size_t(begin % 4)]);
  }
  const hn::Rebind<float, Words> d;
  const hn::RebindToSigned<decltype(d)> signed_words;
  const auto lanes = std::int64_t(hn::Lanes(d));
  each_vector(
      key, std::uint64_t(begin / 4), (end - begin + 3) / 4, [&](auto words, std::int64_t at) HWY_ATTR {
        const auto unit = hn::Mul(hn::ConvertTo(d, hn::BitCast(signed_words, hn::ShiftRight<8>(words))),
                                  hn::Set(d, 0x1p-24f));
        const std::int64_t from = begin + at, wanted = std::min(lanes, end - from);
        if (meanwhile) __builtin_prefetch(meanwhile + at);
        if (wanted == lanes) {
          hn::StoreU(unit, d, y + from);
        } else if (wanted > 0) {
          HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
          hn::Store(unit, d, buffer);
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
  HWY_ALIGN std::uint32_t words[HWY_MAX_BYTES / sizeof(std::uint32_t)];
  each_vector(key, std::uint64_t(begin / 2), (end - begin + 1) / 2,
              [&](auto vector, std::int64_t at) HWY_ATTR {
                const Words d;
                hn::Store(vector, d, &words[HWY_TARGET == HWY_SCALAR ? at % 2 : 0]);
                if (HWY_TARGET == HWY_SCALAR && at % 2 == 0) return;
                const std::int64_t from = begin + at / 2,
                                   pairs = std::max<std::int64_t>(1, std::int64_t(hn::Lanes(d)) / 2);
                const std::int64_t wanted = std::min(pairs, end - from);
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
        n, kChunk,
        [&](std::int64_t begin, std::int64_t end) { fill(key, begin, end, y.as<float>(), nullptr); }, 64);
  } else {
    require(y.type.dtype == DType::f64, "random_uniform: ", y.type, " is neither f32 nor f64");
    const auto fill = HWY_DYNAMIC_DISPATCH(uniform_f64);
    parallel_ranges(
        n, kChunk, [&](std::int64_t begin, std::int64_t end) { fill(key, begin, end, y.as<double>()); }, 64);
  }
}

void random_uniform(const RandomKey& key, std::int64_t first, std::span<float> y, const float* meanwhile) {
  HWY_DYNAMIC_DISPATCH(uniform_f32)(key, first, first + std::int64_t(y.size()), y.data() - first, meanwhile);
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
