// Memory that products pack their operands into. All products of the process share it, and what was made
// stays.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace tapestry::kernels {

struct FreePacked {
  /// A cache line, and a whole AVX-512 vector.
  static constexpr std::align_val_t kAlignment{64};
  void operator()(std::byte* memory) const { ::operator delete[](memory, kAlignment); }
};
using PackedMemory = std::unique_ptr<std::byte[], FreePacked>;

/// Bytes of a thread's piece: a block of A and a panel of B (gemm_tile.hpp).
std::size_t piece_bytes();

/// Makes the pieces of all threads that there are now, so that products allocate nothing.
void reserve_pieces();

/// A thread's piece, until its end.
class Piece {
 public:
  /// Null if all are busy: with several programs at work there may be more tiles in progress than threads.
  Piece();
  ~Piece();
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;
  std::byte* get() const { return memory_.get(); }

 private:
  PackedMemory memory_;
};

}  // namespace tapestry::kernels
