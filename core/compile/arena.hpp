// Offsets in one block of memory, handed out and taken back in program order: best fit among the free ranges.
#pragma once

#include <cstddef>
#include <map>

namespace tapestry {

class ArenaPlanner {
 public:
  /// A range of at least `bytes`, aligned to 64; the block grows if no free range fits.
  std::size_t allocate(std::size_t bytes);
  void release(std::size_t offset);
  /// The block's size so far.
  std::size_t size() const { return size_; }

 private:
  void insert_free(std::size_t offset, std::size_t bytes);
  void erase_free(std::map<std::size_t, std::size_t>::iterator range);

  std::map<std::size_t, std::size_t> free_;          // offset -> bytes
  std::multimap<std::size_t, std::size_t> by_size_;  // bytes -> offset
  std::map<std::size_t, std::size_t> used_;          // offset -> bytes
  std::size_t size_ = 0;
};

}  // namespace tapestry
