// Slots: where the values of a block are. Most live in the arena from the step that writes them to the last
// that reads them, and their memory is used again.
#pragma once

#include <tapestry/ops/kernels/loop_plan.hpp>

#include <cstdint>
#include <limits>
#include <vector>

namespace tapestry::kernels {

/// Memory given out from the start, in whole vectors.
struct Region {
  std::int64_t bytes = 0;
  std::int64_t take(std::int64_t size) {
    const std::int64_t at = bytes;
    bytes += (size + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
    return at;
  }
};

class Slots {
 public:
  static constexpr int kBegin = -1;                             ///< before the first step of a block
  static constexpr int kEnd = std::numeric_limits<int>::max();  ///< after the last

  /// One that points elsewhere.
  int add();
  /// One that needs a block of the arena, or only a vector, written at step `first`; `kept` for the whole
  /// chunk.
  int add_memory(bool vector, bool kept, int first);
  void set_offset(int slot, std::int64_t offset) { all_[std::size_t(slot)].offset = offset; }
  void read(int slot, int step);
  /// kBegin if it never was.
  int last_read(int slot) const { return all_[std::size_t(slot)].last; }

  /// Lays out the arena: slot pointers, vectors, blocks. Fills in each slot's offset; -1 if it is elsewhere.
  Region place(std::vector<std::int64_t>& offsets, std::int64_t block_bytes) const;

 private:
  enum class Memory : std::uint8_t { elsewhere, vector, block };
  struct Slot {
    Memory memory = Memory::elsewhere;
    bool kept = false;
    int first = kBegin, last = kBegin;
    std::int64_t offset = -1;
  };
  std::vector<Slot> all_;
};

/// The block that a plan has chosen, as it looks in memory to an operand.
struct BlockShape {
  const LoopPlan& plan;

  bool moves_within(const Shape& strides) const;
  bool moves_between(const Shape& strides) const;
  /// One run of elements in order.
  bool is_dense(const Shape& strides) const;
  Walk walk_of(const Shape& strides) const;
};

}  // namespace tapestry::kernels
