#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gemm_memory.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>

#include <mutex>
#include <utility>
#include <vector>

namespace tapestry::kernels {
namespace {

struct Store {
  std::mutex mutex;
  std::vector<PackedMemory> pieces;  // that nobody has
  int made = 0;

  void make_piece() {
    pieces.reserve(std::size_t(made + 1));
    pieces.emplace_back(new (FreePacked::kAlignment) std::byte[piece_bytes()]);
    ++made;
  }
};

// Never destroyed: static objects elsewhere may multiply while the process ends.
Store& store() {
  static Store& instance = *new Store;
  return instance;
}

}  // namespace

std::size_t piece_bytes() { return kPackedA + kPackedB; }

void reserve_pieces() {
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  while (s.made < thread_count()) s.make_piece();
}

Piece::Piece() {
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  if (s.pieces.empty() && s.made < thread_count()) s.make_piece();
  if (s.pieces.empty()) return;
  memory_ = std::move(s.pieces.back());
  s.pieces.pop_back();
}

Piece::~Piece() {
  if (memory_ == nullptr) return;
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  s.pieces.push_back(std::move(memory_));
}

}  // namespace tapestry::kernels
