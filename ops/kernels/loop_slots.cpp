#include <tapestry/ops/kernels/loop_slots.hpp>

#include <algorithm>
#include <utility>

namespace tapestry::kernels {

int Slots::add() {
  all_.emplace_back();
  return int(all_.size()) - 1;
}

int Slots::add_memory(bool vector, bool kept, int first) {
  all_.push_back({.memory = vector ? Memory::vector : Memory::block, .kept = kept, .first = first});
  return int(all_.size()) - 1;
}

void Slots::read(int slot, int step) {
  int& last = all_[std::size_t(slot)].last;
  last = std::max(last, step);
}

Region Slots::place(std::vector<std::int64_t>& offsets, std::int64_t block_bytes) const {
  Region arena;
  arena.take(std::int64_t(all_.size() * sizeof(void*)));
  offsets.clear();
  std::vector<std::size_t> blocks;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    offsets.push_back(all_[i].memory == Memory::vector ? arena.take(kVectorBytes) : all_[i].offset);
    if (all_[i].memory == Memory::block) blocks.push_back(i);
  }
  std::ranges::stable_sort(blocks, {}, [&](std::size_t i) { return all_[i].first; });
  std::vector<std::pair<int, std::int64_t>> busy;  // until a step, where
  std::vector<std::int64_t> free;
  for (const std::size_t i : blocks) {
    const Slot& slot = all_[i];
    // A step may write over what it is the last to read.
    std::erase_if(busy, [&](const auto& used) {
      if (used.first > slot.first) return false;
      free.push_back(used.second);
      return true;
    });
    if (free.empty()) free.push_back(arena.take(block_bytes));
    offsets[i] = free.back();
    free.pop_back();
    busy.emplace_back(slot.kept ? kEnd : std::max(slot.last, slot.first + 1), offsets[i]);
  }
  return arena;
}

bool BlockShape::moves_within(const Shape& strides) const {
  if (plan.block_rows > 1 && strides[plan.split] != 0) return true;
  return std::any_of(strides.begin() + plan.split + 1, strides.end(),
                     [](auto stride) { return stride != 0; });
}

bool BlockShape::moves_between(const Shape& strides) const {
  return std::any_of(strides.begin(), strides.begin() + plan.split + 1,
                     [](auto stride) { return stride != 0; });
}

bool BlockShape::is_dense(const Shape& strides) const {
  std::int64_t expected = 1;
  for (int d = plan.rank - 1; d > plan.split; --d) {
    if (strides[d] != expected) return false;
    expected *= plan.extents[std::size_t(d)];
  }
  return plan.block_rows == 1 || strides[plan.split] == expected;
}

Walk BlockShape::walk_of(const Shape& strides) const {
  Walk walk;
  walk.rank = 1;
  walk.extents[0] = 1;
  walk.strides[0] = strides[plan.split];
  for (int d = plan.split + 1; d < plan.rank; ++d) {
    const auto last = std::size_t(walk.rank - 1);
    const std::int64_t extent = plan.extents[std::size_t(d)];
    if (walk.strides[last] == strides[d] * extent) {
      walk.extents[last] *= extent;
      walk.strides[last] = strides[d];
    } else {
      walk.extents[last + 1] = extent;
      walk.strides[last + 1] = strides[d];
      ++walk.rank;
    }
  }
  return walk;
}

}  // namespace tapestry::kernels
