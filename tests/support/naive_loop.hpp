// Fused loops evaluated one element at a time, in plain scalar code: what the fast ones are compared with.
#pragma once

#include <tapestry/ops/kernels/loop.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace tapestry::kernels {

struct NaiveResult {
  /// What is stored at the offset of each kept position, in the lane's precision.
  std::vector<std::int64_t> offsets;
  std::vector<long double> values;
  /// Of a sum: the sum of absolute values, to which rounding is relative.
  std::vector<long double> magnitudes;
};

/// One result for each output. Sums are exact to long double.
std::vector<NaiveResult> evaluate_naively(const Loop& loop, std::span<const void* const> inputs);

/// One instruction on one element of an f32, f64 or i64 lane.
template <class T>
T evaluate_naively(Code code, T a, T b, T c);

/// An element of storage, converted.
long double load_naively(DType dtype, const void* data, std::int64_t at);

}  // namespace tapestry::kernels
