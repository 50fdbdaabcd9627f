#include <tapestry/core/random.hpp>
#include <tapestry/ops/kernels/loop_drawing.hpp>

#include <limits>

namespace tapestry::kernels {

/// Rounds 0 and 1 as far as the first word of a counter has no part in them.
void Drawing::start_counters(std::uint32_t word1) {
  high = word1;
  const auto seed = std::uint64_t(key[0]), step = std::uint64_t(key[1]);
  std::array<std::array<std::uint32_t, 2>, 10> all;
  for (std::uint32_t round = 0; round < all.size(); ++round) {
    all[round] = {low_word(seed) + round * 0x9e3779b9u, high_word(seed) + round * 0xbb67ae85u};
  }
  const std::uint64_t product1 = factors[1] * low_word(step);
  const std::uint64_t product0 = factors[0] * (high_word(product1) ^ high ^ all[0][0]);
  first_keys = {high_word(step) ^ all[0][1], low_word(product1) ^ all[1][0], high_word(product0) ^ all[1][1]};
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = {all[i + 2][0], all[i + 2][1]};
  keys[0][1] ^= low_word(product0);
  for (std::uint64_t i = 0; i < increments.size(); ++i) increments[i] = factors[0] * kLanes * (i + 1);
}

std::uint32_t* Drawing::start(std::int64_t first, std::int64_t size, std::uint32_t* buffer) {
  const std::int64_t within = first % 4;
  const auto counter = std::uint64_t(first / 4);
  if (low_word(counter) + std::uint64_t(size + 2 * kBatch) / 4 > std::numeric_limits<std::uint32_t>::max()) {
    // The counters' first word may run over, once in 2^34 elements: all are drawn now.
    const auto seed = std::uint64_t(key[0]), step = std::uint64_t(key[1]);
    std::uint32_t* place = buffer;
    for (std::uint64_t at = counter; at <= std::uint64_t(first + size - 1) / 4; ++at) {
      for (const std::uint32_t word :
           philox4x32({low_word(at), high_word(at), low_word(step), high_word(step)},
                      {low_word(seed), high_word(seed)})) {
        *place++ = word;
      }
    }
    enough = size;
    return buffer + within;
  }
  if (high_word(counter) != high) start_counters(high_word(counter));
  for (std::uint64_t i = 0; i < kLanes; ++i) {
    products[i] = factors[0] * (low_word(counter) + i / 2 + i % 2 * (kLanes / 2));
  }
  enough = -within - kLeast;
  return words.data() + kLeast + within + kBatch;
}

}  // namespace tapestry::kernels
