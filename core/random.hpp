// Random numbers that are functions of a key and a position, so that nothing depends on the order or the
// number of threads, and any of them can be computed again. The generator is Philox 4x32 with 10 rounds
// (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace tapestry {

/// Four random words for a 128-bit counter under a 64-bit key.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xd2511f53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xcd9e8d57} * counter[2];
    counter = {std::uint32_t(b >> 32) ^ counter[1] ^ key[0], std::uint32_t(b),
               std::uint32_t(a >> 32) ^ counter[3] ^ key[1], std::uint32_t(a)};
    key[0] += 0x9e3779b9;
    key[1] += 0xbb67ae85;
  }
  return counter;
}

constexpr std::uint32_t low_word(std::uint64_t value) { return std::uint32_t(value); }
constexpr std::uint32_t high_word(std::uint64_t value) { return std::uint32_t(value >> 32); }

/// 24 bits as an f32 in [0, 1).
constexpr float unit_f32(std::uint32_t word) { return float(word >> 8) * 0x1p-24f; }
/// 53 bits as an f64 in [0, 1).
constexpr double unit_f64(std::uint32_t low, std::uint32_t high) {
  return double((std::uint64_t{high} << 32 | low) >> 11) * 0x1p-53;
}

/// A seed for one of many users of another: each layer's dropout, each tensor's initial values.
std::uint64_t derive_seed(std::uint64_t seed, std::uint64_t user);

/// A sequence of random numbers determined by (seed, stream), for initial values, shuffles and augmentation.
/// Streams of one seed are independent of each other: use one for each purpose, epoch or sample.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  /// 64 random bits.
  std::uint64_t bits();
  /// In [0, 1), with 53 random bits.
  double uniform();
  /// Mean 0, variance 1 (Box and Muller's transform).
  double normal();
  /// In [0, n), each with the same probability. Throws if n < 1.
  std::int64_t below(std::int64_t n);

 private:
  std::uint64_t seed_, stream_, block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  bool half_left_ = false, normal_left_ = false;
  double normal_ = 0;
};

/// 0 ... n-1 in an order drawn from all orders (Fisher and Yates's shuffle).
std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::uint64_t stream = 0);
/// The same in a place of the caller's, which need not be filled.
void permutation(std::span<std::int64_t> order, std::uint64_t seed, std::uint64_t stream = 0);

}  // namespace tapestry
