// How far a convolution by Winograd's minimal filtering may be from exact sums.
//
// Each result is A^T [sum of (G w G^T) (B^T x B)] A, linear in each operand. If every product is off by a
// part e of itself, the result is off by at most e times the same expression of magnitudes, matrices' and
// operands'. e has a rounding of each transformed operand to what is multiplied, and one of f32 for every
// addition that a product has a part in: in the transforms of both operands, in a sum over channels or tiles,
// in the transform back.
#pragma once

#include <tapestry/ops/kernels/conv.hpp>

#include <span>
#include <vector>

namespace tapestry::test {

/// Can it be computed so?
bool winograd_possible(const kernels::Convolution& c);
/// The expression of magnitudes for each element of what is computed of a and b.
std::vector<double> winograd_sizes(const kernels::Convolution& c, std::span<const double> a,
                                   std::span<const double> b);
/// The part e. What is computed may be rounded once more, to bf16.
double winograd_part(const kernels::Convolution& c);

}  // namespace tapestry::test
