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
  /// One that needs so many bytes of the arena, written at step `first`; `kept` for the whole chunk.
  int add_memory(std::int64_t bytes, bool kept, int first);
  void set_offset(int slot, std::int64_t offset) { all_[std::size_t(slot)].offset = offset; }
  void read(int slot, int step);
  /// Steps have been put into another order: forgets who reads what.
  void forget_reads();
  /// These steps take turns: until all of them are done each has its results and what it reads.
  void join(int first, int end);
  void set_first(int slot, int step) { all_[std::size_t(slot)].first = step; }
  /// It needs no memory.
  void drop(int slot) { all_[std::size_t(slot)].bytes = 0; }
  /// kBegin if it never was.
  int last_read(int slot) const { return all_[std::size_t(slot)].last; }

  /// Lays out the arena: slot pointers, then values. Fills in each slot's offset; -1 if it is elsewhere.
  Region place(std::vector<std::int64_t>& offsets) const;

 private:
  struct Slot {
    std::int64_t bytes = 0;  // 0: elsewhere
    bool kept = false;
    int first = kBegin, last = kBegin;
    std::int64_t offset = -1;
  };
  std::vector<Slot> all_;
};

/// The block that a plan has chosen, as it looks in memory to an operand.
class BlockShape {
 public:
  explicit BlockShape(const LoopPlan& p) : plan_(p) {}

  /// Of an operand with these strides.
  Level level_of(const Shape& strides) const;
  /// At most so many values are in a block.
  std::int64_t count(Level level) const;
  std::int64_t bytes(Level level) const { return count(level) * plan_.lane_bytes; }
  bool moves_between(const Shape& strides) const;
  /// One run of values in order.
  bool is_dense(const Shape& strides, Level level) const;
  Walk walk_of(const Shape& strides, Level level) const;

 private:
  /// The dimensions after the last that count.
  int end(Level level) const { return level == Level::row ? plan_.row : plan_.rank; }
  const LoopPlan& plan_;
};

}  // namespace tapestry::kernels
