// Memory for elements: of tensors, and of a program's intermediate values.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace tapestry {

struct FreeLines {
  /// A cache line, and a whole AVX-512 vector.
  static constexpr std::align_val_t kAlignment{64};
  void operator()(std::byte* memory) const { ::operator delete[](memory, kAlignment); }
};
using Lines = std::unique_ptr<std::byte[], FreeLines>;

/// `bytes` bytes from the start of a cache line on, not cleared. Much memory is asked for in pages of 2 MiB.
/// Throws if there isn't as much.
Lines allocate_lines(std::size_t bytes);

}  // namespace tapestry
