// Random numbers that a segment draws as it comes to them, 128 at a time: so its arithmetic and what it reads
// and writes go on at once, and Philox's latency hides behind four vectors of counters in turns.
#pragma once

#include <tapestry/ops/kernels/loop_tables.hpp>
#include <tapestry/ops/kernels/random.hpp>

#include <array>
#include <cstdint>

namespace tapestry::kernels {

/// What a segment's code needs to draw the words of one random tensor: those of a block, in order. Of 64-bit
/// lanes the lower half counts. The code (loop_assembler_draw.cpp) knows this layout.
struct alignas(kVectorBytes) Drawing {
  static constexpr int kLanes = 8, kChains = 4;
  static constexpr int kBatch = 4 * kLanes * kChains;
  /// More are drawn before a vector or two of elements if fewer are left.
  static constexpr int kLeast = 32;

  explicit Drawing(const RandomKey& k) : key(k) { start_counters(0); }

  /// Elements [first, first + size) of the tensor come next. Where the first one's word is: as each batch is
  /// drawn, this moves by its size, so that the element's number stays what it is. `buffer` has room for the
  /// words of size / 4 + 2 counters.
  std::uint32_t* start(std::int64_t first, std::int64_t size, std::uint32_t* buffer);

  std::int64_t enough = 0;  ///< up to this element so many words as to go on are there
  std::uint64_t lower_halves = 0x5555;
  std::array<std::uint64_t, 2> factors{0xd2511f53u, 0xcd9e8d57u};
  /// Of the first word of the next eight counters with the first factor: 0, 4, 1, 5, 2, 6, 3, 7, so that
  /// putting together words of even lanes, and of odd ones, gives them in order.
  alignas(kVectorBytes) std::array<std::uint64_t, kLanes> products{};
  std::array<std::uint64_t, kChains> increments{};  ///< of the products, for each chain, and for a batch
  /// What is exclusive-ored in the first two rounds, of which half is the same for all counters.
  std::array<std::uint64_t, 3> first_keys{};
  /// Of the other rounds; the first of them includes a word that is the same for all counters.
  std::array<std::array<std::uint64_t, 2>, 8> keys{};

  /// Words that are left of the batch before, and a batch.
  alignas(kVectorBytes) std::array<std::uint32_t, kLeast + kBatch> words;

  RandomKey key;
  std::uint32_t high = 0;  ///< word of the counters, in what is exclusive-ored

  void start_counters(std::uint32_t word1);
};

}  // namespace tapestry::kernels
