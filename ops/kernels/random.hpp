// Random tensors as functions of a key. With a key of {seed, step} element i of a uniform tensor is number i
// of Random(seed, step) in f64, and word i of the same sequence of words in f32; so it depends on neither the
// number of threads nor the instruction set.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace tapestry::kernels {

using RandomKey = std::array<std::int64_t, 2>;  ///< seed, step

/// Fills an f32 or f64 tensor with uniform numbers in [0, 1): 24 random bits each in f32, 53 in f64.
void random_uniform(const RandomKey& key, const View& y);
/// Elements [first, first + y.size()) of such a tensor, on this thread. Meanwhile it asks for as much memory
/// from `meanwhile` on, if that isn't null.
void random_uniform(const RandomKey& key, std::int64_t first, std::span<float> y,
                    const float* meanwhile = nullptr);
void random_uniform(const RandomKey& key, std::int64_t first, std::span<double> y);
/// Fills an i64 tensor with 0 ... n-1 in random order: permutation(n, seed, step).
void random_permutation(const RandomKey& key, const View& y);

}  // namespace tapestry::kernels
