// Memory that products pack their operands into. All products of the process share it, and what was made
// stays.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace tapestry::kernels {

struct FreePacked {
  /// A cache line, and a whole AVX-512 vector.
  static constexpr std::align_val_t kAlignment{64};
  void operator()(std::byte* memory) const { ::operator delete[](memory, kAlignment); }
};
using PackedMemory = std::unique_ptr<std::byte[], FreePacked>;

/// Bytes of a thread's piece: a block of A and a panel of B (gemm_tile.hpp).
std::size_t piece_bytes();

/// Makes the pieces of all threads that there are now, and memory for one op(A) of `left_bytes`, so that
/// products allocate nothing.
void reserve_packed(std::size_t left_bytes);

/// What was taken goes back when this ends.
class Packed {
 public:
  /// A thread's piece. Null if all are busy: with several programs at work there may be more tiles in
  /// progress than threads.
  static Packed piece();
  /// For an op(A) of `bytes`. Null if another product has it.
  static Packed left(std::size_t bytes);

  Packed(Packed&&) = default;
  ~Packed();
  std::byte* get() const { return memory_.get(); }

 private:
  Packed(PackedMemory memory, std::size_t left_bytes) : memory_(std::move(memory)), left_bytes_(left_bytes) {}
  PackedMemory memory_;
  std::size_t left_bytes_;  // 0: a piece
};

}  // namespace tapestry::kernels
