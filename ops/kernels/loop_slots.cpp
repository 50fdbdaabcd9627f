#include <tapestry/ops/kernels/loop_slots.hpp>

#include <algorithm>
#include <utility>

namespace tapestry::kernels {

int Slots::add() {
  all_.emplace_back();
  return int(all_.size()) - 1;
}

int Slots::add_memory(std::int64_t bytes, bool kept, int first) {
  all_.push_back({.bytes = bytes, .kept = kept, .first = first});
  return int(all_.size()) - 1;
}

void Slots::read(int slot, int step) {
  int& last = all_[std::size_t(slot)].last;
  last = std::max(last, step);
}

void Slots::forget_reads() {
  for (Slot& slot : all_) slot.last = kBegin;
}

void Slots::join(int first, int end) {
  for (Slot& slot : all_) {
    if (slot.first >= first && slot.first < end) slot.first = first;
    if (slot.last >= first && slot.last < end) slot.last = end;
  }
}

Region Slots::place(std::vector<std::int64_t>& offsets) const {
  Region arena;
  arena.take(std::int64_t(all_.size() * sizeof(void*)));
  offsets.clear();
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    offsets.push_back(all_[i].offset);
    if (all_[i].bytes > 0) order.push_back(i);
  }
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return all_[i].first; });
  struct Place {
    std::int64_t bytes, offset;
    int until;  // a step
  };
  std::vector<Place> places;
  for (const std::size_t i : order) {
    const Slot& slot = all_[i];
    // A step may write over what it is the last to read.
    auto place = std::ranges::find_if(
        places, [&](const Place& p) { return p.bytes == slot.bytes && p.until <= slot.first; });
    if (place == places.end()) place = places.insert(place, {slot.bytes, arena.take(slot.bytes), 0});
    offsets[i] = place->offset;
    place->until = slot.kept ? kEnd : std::max(slot.last, slot.first + 1);
  }
  return arena;
}

Level BlockShape::level_of(const Shape& strides) const {
  const auto moves = [&](int first, int last) {
    return std::any_of(strides.begin() + first, strides.begin() + last,
                       [](auto stride) { return stride != 0; });
  };
  if (moves(plan_.row, plan_.rank)) return Level::element;
  if ((plan_.block_slices > 1 && strides[plan_.split] != 0) || moves(plan_.split + 1, plan_.row)) {
    return plan_.loop.row ? Level::row : Level::element;
  }
  return Level::block;
}

std::int64_t BlockShape::count(Level level) const {
  const std::int64_t elements = plan_.block_slices * plan_.slice_elements;
  return level == Level::element ? elements
         : level == Level::row   ? elements / plan_.row_elements
                                 : kVectorBytes / plan_.lane_bytes;
}

bool BlockShape::moves_between(const Shape& strides) const {
  return std::any_of(strides.begin(), strides.begin() + plan_.split + 1,
                     [](auto stride) { return stride != 0; });
}

bool BlockShape::is_dense(const Shape& strides, Level level) const {
  std::int64_t expected = 1;
  for (int d = end(level) - 1; d > plan_.split; --d) {
    if (strides[d] != expected) return false;
    expected *= plan_.extents[std::size_t(d)];
  }
  return plan_.block_slices == 1 || strides[plan_.split] == expected;
}

Walk BlockShape::walk_of(const Shape& strides, Level level) const {
  Walk walk;
  walk.rank = 1;
  walk.extents[0] = 1;
  walk.strides[0] = strides[plan_.split];
  for (int d = plan_.split + 1; d < end(level); ++d) {
    const auto last = std::size_t(walk.rank - 1);
    const std::int64_t extent = plan_.extents[std::size_t(d)];
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
