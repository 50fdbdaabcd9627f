#include <tapestry/core/random.hpp>
#include <tapestry/models/data/symmetric_eigen.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// A v = lambda v, vectors orthonormal, values descending, signs as said.
void check(const std::vector<double>& a, std::size_t n) {
  const SymmetricEigen e = tapestry::symmetric_eigen(a, n);
  BOOST_REQUIRE(e.values.size() == n);
  BOOST_REQUIRE(e.vectors.size() == n * n);
  BOOST_TEST(std::ranges::is_sorted(e.values, std::ranges::greater()));
  double scale = 0;
  for (const double x : a) scale = std::max(scale, std::abs(x));
  const double bound = 1e-14 * double(n + 1) * scale;
  for (std::size_t k = 0; k < n; ++k) {
    const double* v = &e.vectors[k * n];
    for (std::size_t i = 0; i < n; ++i) {
      double av = 0, product = 0;
      for (std::size_t j = 0; j < n; ++j) {
        av += a[i * n + j] * v[j];
        product += e.vectors[i * n + j] * v[j];
      }
      BOOST_TEST(std::abs(av - e.values[k] * v[i]) <= bound);
      BOOST_TEST(std::abs(product - (i == k)) <= 1e-14 * double(n + 1));
    }
    BOOST_TEST(*std::max_element(v, v + n) == std::abs(*std::max_element(v, v + n, [](double x, double y) {
      return std::abs(x) < std::abs(y);
    })));
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(symmetric_eigen)

BOOST_AUTO_TEST_CASE(by_hand) {
  const SymmetricEigen e =
      tapestry::symmetric_eigen(std::vector<double>{2, 1, 1, 2}, 2);  // 3: (1, 1), 1: (1, -1)
  const double half = std::sqrt(0.5);
  const std::vector<double> values{3, 1}, vectors{half, half, half, -half};
  for (std::size_t i = 0; i < 2; ++i) BOOST_TEST(std::abs(e.values[i] - values[i]) < 1e-15);
  for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(std::abs(std::abs(e.vectors[i]) - half) < 1e-15);
  BOOST_TEST(e.vectors[0] * e.vectors[1] > 0);
  BOOST_TEST(e.vectors[2] * e.vectors[3] < 0);
}

BOOST_AUTO_TEST_CASE(many_matrices) {
  Random random(5);
  for (const std::size_t n : {0, 1, 2, 3, 5, 12, 27, 40}) {
    for (const double scale : {1.0, 1e-150, 1e150}) {
      std::vector<double> a(n * n);
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j <= i; ++j) a[i * n + j] = a[j * n + i] = scale * random.normal();
      }
      check(a, n);
    }
  }
}

BOOST_AUTO_TEST_CASE(equal_and_vanishing_eigenvalues) {
  check(std::vector<double>(16, 0.0), 4);
  check(std::vector<double>(16, 1.0), 4);  // rank 1
  std::vector<double> identity(25);
  for (std::size_t i = 0; i < 5; ++i) identity[i * 6] = 2;
  check(identity, 5);
  check({1, 1e-9, 1e-9, 1}, 2);
  check({1e8, 1, 1, 1e-8}, 2);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  BOOST_TEST(thrown([] { tapestry::symmetric_eigen(std::vector<double>(5), 2); }) ==
             "a matrix of 5 numbers isn't 2 x 2");
  const std::vector<double> nan(4, std::numeric_limits<double>::quiet_NaN());
  BOOST_TEST(thrown([&] { tapestry::symmetric_eigen(nan, 2); }) ==
             "the eigenvalues of a matrix with numbers that aren't finite were asked for");
}

BOOST_AUTO_TEST_SUITE_END()
