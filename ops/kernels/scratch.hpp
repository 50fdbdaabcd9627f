// Memory that kernels work in besides their operands: made when programs are compiled and kept for the
// process, so that steps allocate nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace tapestry::kernels {

/// Pieces of one size, the largest that was asked for, aligned to cache lines.
class Scratch {
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete[](memory, std::align_val_t(kLine)); }
  };
  static constexpr std::size_t kLine = 64;
  struct Block {
    std::unique_ptr<std::byte[], Free> memory;
    std::size_t bytes = 0;
  };

 public:
  /// One piece, until its end.
  class Piece {
   public:
    Piece(Scratch& owner, std::size_t bytes) : owner_(owner), block_(owner.take(bytes)) {}
    ~Piece() { owner_.give_back(std::move(block_)); }
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;

    template <class T>
    T* as() const {
      return reinterpret_cast<T*>(block_.memory.get());
    }
    /// What follows the first `bytes`, on a cache line of its own.
    template <class T>
    T* after(std::size_t bytes) const {
      return reinterpret_cast<T*>(block_.memory.get() + aligned(bytes));
    }

   private:
    Scratch& owner_;
    Block block_;
  };

  static constexpr std::size_t aligned(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

  /// From now on `count` pieces of `bytes` bytes can be taken at once without an allocation.
  void reserve(std::size_t bytes, std::size_t count) {
    const std::lock_guard lock(mutex_);
    bytes_ = std::max(bytes_, bytes);
    made_ -= std::erase_if(free_, [&](const Block& block) { return block.bytes < bytes_; });
    while (free_.size() < count) free_.push_back(make(bytes_));
  }

 private:
  Block take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return make(std::max(bytes, bytes_));
    Block block = std::move(free_.back());
    free_.pop_back();
    if (block.bytes >= bytes) return block;
    --made_;
    return make(std::max(bytes, bytes_));
  }
  void give_back(Block block) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(block));
  }
  Block make(std::size_t bytes) {
    ++made_;
    free_.reserve(made_);
    return {std::unique_ptr<std::byte[], Free>(new (std::align_val_t(kLine)) std::byte[bytes]), bytes};
  }

  std::mutex mutex_;
  std::vector<Block> free_;
  std::size_t bytes_ = 0, made_ = 0;
};

}  // namespace tapestry::kernels
