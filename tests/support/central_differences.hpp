// Derivatives of first and second order against central differences, for tests of single ops.
#pragma once

#include <tapestry/core/tape.hpp>

#include <functional>
#include <vector>

namespace tapestry::test {

/// Uniform in [-1, 1), the same for the same seed.
Tensor random_tensor(const Shape& shape, std::uint64_t seed = 1, DType dtype = DType::f64);

using Function = std::function<Var(std::span<const Var>)>;

/// f's derivatives in the directions of every element of its f64 inputs, with random cotangents, and the
/// derivatives of those: the largest difference to central differences, relative to values above 1.
double derivative_error(const Function& f, const std::vector<Tensor>& inputs);

/// f(inputs) by the interpreter.
Tensor value_of(const Function& f, const std::vector<Tensor>& inputs);

}  // namespace tapestry::test
