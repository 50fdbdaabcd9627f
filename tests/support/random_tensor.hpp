#pragma once

#include <tapestry/core/random.hpp>
#include <tapestry/core/tensor.hpp>

#include <cstdint>
#include <vector>

namespace tapestry::test {

/// f64 numbers in [-1, 1), the same for the same seed.
inline Tensor random_tensor(const Shape& shape, std::uint64_t seed = 1) {
  Tensor tensor(DType::f64, shape);
  Random random(seed);
  for (double& value : tensor.mutable_values<double>()) value = 2 * random.uniform() - 1;
  return tensor;
}

/// Numbers in [-1, 1), others for each stream.
template <class T>
std::vector<T> random_values(std::int64_t count, std::uint64_t stream) {
  Random random(11, stream);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = T(random.uniform() * 2 - 1);
  return values;
}

}  // namespace tapestry::test
