// The arithmetic of the differential tests' reference: pointwise ops and reductions of numbers that are known
// to lie within a distance of a value. See approximate.hpp.
#pragma once

#include "approximate.hpp"

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

/// Fills in y if `op` is a pointwise op, or a reduction (argmax among them), that is known.
bool pointwise(std::string_view op, Approximate& y, std::span<const Approximate* const> x);
bool reduce(std::string_view op, Approximate& y, std::span<const Approximate* const> x, const Fields& fields);

/// The same for convolutions and pools.
bool windows(std::string_view op, Approximate& y, std::span<const Approximate* const> x,
             const Fields& fields);

}  // namespace tapestry::test::approximate_parts
