#include <tapestry/core/error.hpp>
#include <tapestry/models/data/symmetric_eigen.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tapestry {
namespace {

/// (x, y) -> (c x - s y, s x + c y)
void rotate(double& x, double& y, double c, double s) {
  const double old = x;
  x = c * old - s * y;
  y = s * old + c * y;
}

/// Of the entries off the diagonal.
double largest(std::span<const double> a, std::size_t n) {
  double out = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) out = std::max(out, std::abs(a[i * n + j]));
  }
  return out;
}

/// Makes a(p, q) = 0 by a rotation in the plane of p and q.
void annihilate(std::vector<double>& a, std::vector<double>& vectors, std::size_t n, std::size_t p,
                std::size_t q) {
  const double apq = a[p * n + q];
  if (apq == 0) return;
  // The smaller of the two angles: t is the root of t^2 + 2 theta t - 1 that is at most 1.
  const double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const double t = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::hypot(1.0, theta));
  const double c = 1 / std::sqrt(1 + t * t), s = t * c;
  for (std::size_t i = 0; i < n; ++i) rotate(a[i * n + p], a[i * n + q], c, s);
  for (std::size_t i = 0; i < n; ++i) rotate(a[p * n + i], a[q * n + i], c, s);
  for (std::size_t i = 0; i < n; ++i) rotate(vectors[p * n + i], vectors[q * n + i], c, s);
  a[p * n + q] = a[q * n + p] = 0;
}

}  // namespace

SymmetricEigen symmetric_eigen(std::span<const double> matrix, std::size_t n) {
  require(matrix.size() == n * n, "a matrix of ", matrix.size(), " numbers isn't ", n, " x ", n);
  require(std::ranges::all_of(matrix, [](double x) { return std::isfinite(x); }),
          "the eigenvalues of a matrix with numbers that aren't finite were asked for");
  std::vector<double> a(matrix.begin(), matrix.end()), vectors(n * n);
  for (std::size_t i = 0; i < n; ++i) vectors[i * n + i] = 1;
  double scale = 0;
  for (const double x : a) scale = std::max(scale, std::abs(x));
  constexpr int kSweeps = 60;  // ten are usual: from then on they converge quadratically
  for (int sweep = 0; sweep < kSweeps && largest(a, n) > 1e-18 * scale; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) annihilate(a, vectors, n, p, q);
    }
  }

  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater(), [&](std::size_t i) { return a[i * n + i]; });
  SymmetricEigen out;
  for (const std::size_t i : order) {
    out.values.push_back(a[i * n + i]);
    const auto vector = std::span(vectors).subspan(i * n, n);
    const auto top = std::ranges::max_element(vector, {}, [](double x) { return std::abs(x); });
    const double sign = *top < 0 ? -1 : 1;
    for (const double x : vector) out.vectors.push_back(sign * x);
  }
  return out;
}

}  // namespace tapestry
