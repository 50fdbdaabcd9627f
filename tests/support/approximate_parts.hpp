// The arithmetic of the differential tests' reference: pointwise ops and reductions of numbers that are known
// to lie within a distance of a value. See approximate.hpp.
#pragma once

#include "approximate.hpp"

#include <cmath>
#include <map>
#include <string>
#include <string_view>

namespace tapestry::test::approximate_parts {

/// An op's attributes by name.
struct Fields {
  std::map<std::string, double, std::less<>> numbers;
  std::map<std::string, Shape, std::less<>> shapes;
  std::map<std::string, std::string, std::less<>> words;
  double number(std::string_view name) const { return numbers.find(name)->second; }
  const Shape& shape(std::string_view name) const { return shapes.find(name)->second; }
};
Fields fields_of(const Attrs& attrs);

struct Number {
  double value = 0;
  double error = 0;
};

/// The largest relative error of rounding to a dtype: 2^-53, 2^-24 or 2^-8; 0 if it isn't floating.
double roundoff(DType dtype);

/// What a product of bf16 numbers in a sum may lose besides rounding: hardware takes numbers below 2^-126 for
/// zero, operands and sums.
inline double underflow(double a, double b) { return 0x1p-126 * (1 + std::abs(a) + std::abs(b)); }

/// Fills in y if `op` is a pointwise op, or a reduction (argmax among them), that is known.
bool pointwise(std::string_view op, Approximate& y, std::span<const Approximate* const> x);
bool reduce(std::string_view op, Approximate& y, std::span<const Approximate* const> x, const Fields& fields);

/// The same for convolutions and pools.
bool windows(std::string_view op, Approximate& y, std::span<const Approximate* const> x,
             const Fields& fields);

}  // namespace tapestry::test::approximate_parts
