// Random fused loops with data, run and compared with the naive evaluator.
#pragma once

#include "naive_loop.hpp"

#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <cstddef>
#include <random>
#include <string>
#include <vector>

namespace tapestry::kernels {

using Generator = std::mt19937;
std::int64_t below(Generator& random, std::int64_t limit);

/// Bytes for the elements that strides can reach, and where offset 0 is.
struct Storage {
  std::vector<std::byte> bytes;
  std::int64_t zero = 0;
  DType dtype{};

  Storage(const Shape& extents, const Shape& strides, DType type);
  void* data() { return bytes.data() + zero * std::int64_t(size_of(dtype)); }
  const void* data() const { return bytes.data() + zero * std::int64_t(size_of(dtype)); }
  /// Small numbers; if `special` NaN, infinities and zeros among them.
  void fill(Generator& random, bool special);
};

/// Any extents, strides, dtypes and reductions, and those instructions whose results are defined to the bit.
Loop random_loop(Generator& random);

/// For each output an input in whose memory it may be, or -1.
std::vector<int> shareable(const Loop& loop);

struct LoopCase {
  CompiledLoop compiled;
  std::vector<Storage> inputs;

  LoopCase(const Loop& loop, Generator& random);
  /// The outputs; `in_place`: computed in the memory of (a copy of) the inputs where that is allowed.
  std::vector<Storage> run(bool in_place = false) const;
  /// The same by another plan of the loop.
  std::vector<Storage> run(const LoopPlan& plan, bool in_place = false) const;
};

/// What is wrong with the outputs, or nothing. Sums may differ by rounding.
std::string difference(const LoopCase& one, const std::vector<Storage>& outputs);
bool same_bytes(const std::vector<Storage>& a, const std::vector<Storage>& b);

}  // namespace tapestry::kernels
