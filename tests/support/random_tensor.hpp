#pragma once

#include <tapestry/core/random.hpp>
#include <tapestry/core/tensor.hpp>

namespace tapestry::test {

/// f64 numbers in [-1, 1), the same for the same seed.
inline Tensor random_tensor(const Shape& shape, std::uint64_t seed = 1) {
  Tensor tensor(DType::f64, shape);
  Random random(seed);
  for (double& value : tensor.mutable_values<double>()) value = 2 * random.uniform() - 1;
  return tensor;
}

}  // namespace tapestry::test
