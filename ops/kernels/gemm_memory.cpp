#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm_memory.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace tapestry::kernels {
namespace {

PackedMemory make(std::size_t bytes) { return PackedMemory(new (FreePacked::kAlignment) std::byte[bytes]); }

struct Store {
  std::mutex mutex;
  std::vector<PackedMemory> pieces;  // that nobody has
  int made = 0;
  PackedMemory left;
  std::size_t left_bytes = 0, left_wanted = 0;
  bool left_taken = false;

  void make_piece() {
    pieces.reserve(std::size_t(made + 1));
    pieces.push_back(make(piece_bytes()));
    ++made;
  }
  /// Also what was asked for while a product had it.
  void make_left(std::size_t bytes) {
    left_wanted = std::max(left_wanted, bytes);
    if (left_taken || left_wanted <= left_bytes) return;
    left = make(left_wanted);
    left_bytes = left_wanted;
  }
};

// Never destroyed: static objects elsewhere may multiply while the process ends.
Store& store() {
  static Store& instance = *new Store;
  return instance;
}

}  // namespace

std::size_t piece_bytes() { return kPackedA + kPackedB; }

void reserve_packed(std::size_t left_bytes) {
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  while (s.made < thread_count()) s.make_piece();
  s.make_left(left_bytes);
}

Packed Packed::piece() {
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  if (s.pieces.empty() && s.made < thread_count()) s.make_piece();
  if (s.pieces.empty()) return {nullptr, 0};
  PackedMemory memory = std::move(s.pieces.back());
  s.pieces.pop_back();
  return {std::move(memory), 0};
}

Packed Packed::left(std::size_t bytes) {
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  if (s.left_taken) return {nullptr, 0};
  s.make_left(bytes);
  s.left_taken = true;
  return {std::move(s.left), s.left_bytes};
}

Packed::~Packed() {
  if (memory_ == nullptr) return;
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  if (left_bytes_ == 0) {
    s.pieces.push_back(std::move(memory_));
  } else {
    s.left = std::move(memory_);
    s.left_taken = false;
  }
}

}  // namespace tapestry::kernels
