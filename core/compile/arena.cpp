#include <tapestry/core/compile/arena.hpp>
#include <tapestry/core/error.hpp>

#include <algorithm>

namespace tapestry {

void ArenaPlanner::insert_free(std::size_t offset, std::size_t bytes) {
  free_.emplace(offset, bytes);
  by_size_.emplace(bytes, offset);
}

void ArenaPlanner::erase_free(std::map<std::size_t, std::size_t>::iterator range) {
  const auto [first, last] = by_size_.equal_range(range->second);
  by_size_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == range->first; }));
  free_.erase(range);
}

std::size_t ArenaPlanner::allocate(std::size_t bytes) {
  bytes = (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64;
  std::size_t offset = size_;
  std::size_t available = 0;
  if (const auto fit = by_size_.lower_bound(bytes); fit != by_size_.end()) {
    offset = fit->second;
    available = fit->first;
    erase_free(free_.find(offset));
  } else if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == size_) {
    offset = free_.rbegin()->first;  // the last range is free: let it grow
    erase_free(std::prev(free_.end()));
  }
  if (available > bytes) insert_free(offset + bytes, available - bytes);
  size_ = std::max(size_, offset + bytes);
  used_.emplace(offset, bytes);
  return offset;
}

void ArenaPlanner::release(std::size_t offset) {
  const auto it = used_.find(offset);
  require(it != used_.end(), "arena: nothing was allocated at ", offset);
  std::size_t bytes = it->second;
  used_.erase(it);
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + bytes == next->first) {
    bytes += next->second;
    erase_free(next);
  }
  if (auto after = free_.lower_bound(offset); after != free_.begin()) {
    const auto previous = std::prev(after);
    if (previous->first + previous->second == offset) {
      offset = previous->first;
      bytes += previous->second;
      erase_free(previous);
    }
  }
  insert_free(offset, bytes);
}

}  // namespace tapestry
