// A kernel and its epilogue (core/compile/epilogues.hpp): each thread makes a few rows of the kernel's
// result, runs the loop on them while they are in its cache, and takes the next ones.
#pragma once

#include <tapestry/core/graph.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace tapestry {

struct InParts {
  const Node* node = nullptr;  // whose kernel makes the parts
  std::int64_t rows = 0;       // of each but the last
  std::size_t input = 0;       // of the loop: which one is made

  /// Memory for a part on each of the threads that there are. All programs share it, and it stays. Returns
  /// its bytes.
  std::size_t reserve() const;

  /// `sources` and `sinks` are those of the loop; the source of what is made isn't looked at.
  void run(std::span<const ConstView> operands, const kernels::CompiledLoop& loop,
           std::span<const void* const> sources, std::span<void* const> sinks) const;

 private:
  std::size_t bytes() const;  // of a part
};

}  // namespace tapestry
