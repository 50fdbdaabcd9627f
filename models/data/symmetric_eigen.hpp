// Eigenvalues and eigenvectors of small symmetric matrices, the same bits on every machine.
#pragma once

#include <span>
#include <vector>

namespace tapestry {

struct SymmetricEigen {
  std::vector<double> values;   // n, descending
  std::vector<double> vectors;  // n x n, row k of unit length for values[k]; its largest entry (the first of
                                // equals) is positive
};

/// Of a symmetric matrix, n x n: cyclic Jacobi rotations (G. Golub, C. Van Loan, "Matrix computations", 8.5).
/// Takes time in n^3, some ten sweeps of it. Throws if the size isn't n * n, or if a number isn't finite.
SymmetricEigen symmetric_eigen(std::span<const double> matrix, std::size_t n);

}  // namespace tapestry
