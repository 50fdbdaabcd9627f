// Muon against plain loops in double, and what makes its steps orthogonal against singular values found by
// rotations.
#include <tapestry/core/function.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/muon.hpp>
#include <tapestry/tests/support/allocations.hpp>
#include <tapestry/tests/support/restore_threads.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <cmath>
#include <random>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

struct Matrix {
  std::size_t rows, columns;
  std::vector<double> values = std::vector<double>(rows * columns);

  double& operator()(std::size_t i, std::size_t j) { return values[i * columns + j]; }
  double operator()(std::size_t i, std::size_t j) const { return values[i * columns + j]; }
};

Matrix drawn(std::size_t rows, std::size_t columns, unsigned seed) {
  Matrix m{rows, columns};
  std::mt19937 bits(seed);
  std::normal_distribution<double> normal;
  for (double& v : m.values) v = normal(bits);
  return m;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c{a.rows, b.columns};
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t k = 0; k < a.columns; ++k)
      for (std::size_t j = 0; j < b.columns; ++j) c(i, j) += a(i, k) * b(k, j);
  return c;
}

Matrix transposed(const Matrix& a) {
  Matrix t{a.columns, a.rows};
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < a.columns; ++j) t(j, i) = a(i, j);
  return t;
}

double length(const Matrix& a) {
  double sum = 0;
  for (const double v : a.values) sum += v * v;
  return std::sqrt(sum);
}

/// X <- a X + b (X X^T) X + c (X X^T)^2 X, from the product of all rows, whichever side is shorter.
Matrix iterated(Matrix x, int steps) {
  const double scale = length(x) + 1e-7;
  for (double& v : x.values) v /= scale;
  for (int i = 0; i < steps; ++i) {
    const Matrix gram = product(x, transposed(x)), cubic = product(gram, x), quintic = product(gram, cubic);
    for (std::size_t k = 0; k < x.values.size(); ++k)
      x.values[k] = 3.4445 * x.values[k] - 4.7750 * cubic.values[k] + 2.0315 * quintic.values[k];
  }
  return x;
}

/// In descending order, by one-sided Jacobi rotations of the columns.
std::vector<double> singular_values(Matrix a) {
  if (a.rows < a.columns) a = transposed(a);
  for (int sweep = 0; sweep < 60; ++sweep) {
    for (std::size_t p = 0; p < a.columns; ++p) {
      for (std::size_t q = p + 1; q < a.columns; ++q) {
        double pp = 0, qq = 0, pq = 0;
        for (std::size_t i = 0; i < a.rows; ++i) {
          pp += a(i, p) * a(i, p);
          qq += a(i, q) * a(i, q);
          pq += a(i, p) * a(i, q);
        }
        if (pq == 0) continue;
        const double angle = 0.5 * std::atan2(2 * pq, pp - qq), c = std::cos(angle), s = std::sin(angle);
        for (std::size_t i = 0; i < a.rows; ++i) {
          const double x = a(i, p), y = a(i, q);
          a(i, p) = c * x + s * y;
          a(i, q) = c * y - s * x;
        }
      }
    }
  }
  std::vector<double> values;
  for (std::size_t j = 0; j < a.columns; ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < a.rows; ++i) sum += a(i, j) * a(i, j);
    values.push_back(std::sqrt(sum));
  }
  std::ranges::sort(values, std::greater{});
  return values;
}

Tensor tensor(const Matrix& m, const Shape& shape) { return Tensor::from(m.values, shape); }

Matrix matrix(const Tensor& t, std::size_t rows, std::size_t columns) {
  Matrix m{rows, columns};
  for (std::size_t i = 0; i < m.values.size(); ++i) m.values[i] = t.at(std::int64_t(i));
  return m;
}

Matrix orthogonal(const Matrix& x, int steps = 5, DType dtype = DType::f64) {
  Function f = [=](Var v) { return orthogonalized(v, steps); };
  return matrix(f(tensor(x, {std::int64_t(x.rows), std::int64_t(x.columns)}).to(dtype)), x.rows, x.columns);
}

double largest_difference(const Matrix& a, const Matrix& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const double d = std::abs(a.values[i] - b.values[i]);
    largest = std::isnan(d) ? d : std::max(largest, d);
    if (std::isnan(largest)) break;
  }
  return largest;
}

/// One compiled step on w.
Function step_of(const Optimizer& optimizer, const State& w) {
  return [&optimizer, w](Var g, Var lr) {
    const ParameterGradient pair{w, g};
    optimizer.step({&pair, 1}, lr);
    return lr;
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(muon)

BOOST_AUTO_TEST_CASE(trajectories_as_of_plain_loops) {
  struct Case {
    Shape shape;
    std::size_t rows, columns;
  };
  const Case cases[] = {{{5, 3}, 5, 3},        {{3, 7}, 3, 7}, {{4, 4}, 4, 4},
                        {{3, 3, 2, 4}, 18, 4}, {{1, 6}, 1, 6}, {{6, 1}, 6, 1}};
  for (const auto& [shape, rows, columns] : cases) {
    for (int variant = 0; variant < 8; ++variant) {
      Muon rule;
      rule.momentum = 0.7;
      rule.steps = 3;
      rule.nesterov = variant & 1;
      rule.normalize = variant & 2;
      if (variant & 4) rule.step_rms = 0.2;
      StateDict state;
      Matrix w = drawn(rows, columns, 1), velocity{rows, columns};
      const State parameter = state.create("w", tensor(w, shape));
      const Optimizer optimizer(state, rule);
      Function step = step_of(optimizer, parameter);
      for (unsigned t = 1; t <= 5; ++t) {
        const Matrix g = drawn(rows, columns, 10 + t);
        const double rate = 0.1 / t;
        Matrix direction = g;
        for (std::size_t i = 0; i < g.values.size(); ++i) {
          velocity.values[i] = 0.7 * velocity.values[i] + g.values[i];
          direction.values[i] = rule.nesterov ? g.values[i] + 0.7 * velocity.values[i] : velocity.values[i];
        }
        const Matrix orthogonal = iterated(direction, 3);
        const double scale = rule.normalize ? std::sqrt(double(columns)) / length(w) : 1;
        const double by = rate * (rule.step_rms ? 0.2 * std::sqrt(double(std::max(rows, columns))) : 1);
        for (std::size_t i = 0; i < w.values.size(); ++i)
          w.values[i] = w.values[i] * scale - by * orthogonal.values[i];
        step(tensor(g, shape), Tensor::scalar(rate));
        const Matrix found = matrix(parameter.value(), rows, columns);
        BOOST_TEST(largest_difference(found, w) < 1e-12, shape << ", variant " << variant << ", step " << t);
      }
      BOOST_TEST(largest_difference(matrix(state.at("muon/w/velocity").value(), rows, columns), velocity) <
                 1e-12);
    }
  }
}

BOOST_AUTO_TEST_CASE(singular_values_follow_the_polynomial) {
  for (const auto& [rows, columns] : {std::pair<std::size_t, std::size_t>{12, 12}, {20, 6}, {6, 20}}) {
    const Matrix x = drawn(rows, columns, 3), y = orthogonal(x);
    std::vector<double> expected = singular_values(x);
    for (double& s : expected) {
      s /= length(x) + 1e-7;
      for (int i = 0; i < 5; ++i) s = 3.4445 * s - 4.7750 * s * s * s + 2.0315 * s * s * s * s * s;
    }
    std::ranges::sort(expected, std::greater{});
    const std::vector<double> found = singular_values(y);
    for (std::size_t i = 0; i < found.size(); ++i) {
      BOOST_TEST(std::abs(found[i] - expected[i]) < 1e-10, i << ": " << found[i] << ", " << expected[i]);
      BOOST_TEST(found[i] > 0.65);
      BOOST_TEST(found[i] < 1.25);
    }
    // The singular vectors are those of x: X^T Y is symmetric.
    const Matrix mixed = product(transposed(x), y);
    BOOST_TEST(largest_difference(mixed, transposed(mixed)) < 1e-10);
    BOOST_TEST(largest_difference(y, orthogonal(x, 5, DType::f32)) < 1e-4);
  }
}

BOOST_AUTO_TEST_CASE(a_matrix_of_any_scale_is_made_orthogonal) {
  for (const double scale : {1e-3, 1.0, 1e6}) {
    Matrix x = drawn(8, 5, 4);
    for (double& v : x.values) v *= scale;
    for (const double s : singular_values(orthogonal(x, 5, DType::f32))) {
      BOOST_TEST(s > 0.65, "scale " << scale << ": " << s);
      BOOST_TEST(s < 1.25, "scale " << scale << ": " << s);
    }
  }
}

BOOST_AUTO_TEST_CASE(products_in_bf16_do) {
  // Rounding moves singular values by less than the polynomial spreads them.
  const Matrix x = drawn(24, 10, 12);
  Function f([](Var v) { return orthogonalized(v); }, {.precision = Precision::bf16});
  for (const double s : singular_values(matrix(f(tensor(x, {24, 10}).to(DType::f32)), 24, 10))) {
    BOOST_TEST(s > 0.6);
    BOOST_TEST(s < 1.3);
  }
  BOOST_TEST(f(Tensor(DType::f32, {24, 10})).at(7) == 0);
}

BOOST_AUTO_TEST_CASE(gradients_of_any_size_give_finite_steps) {
  for (const float size : {1e-30f, 1e-15f, 1e15f, 1e30f}) {
    StateDict state;
    const State w = state.create("w", Tensor(DType::f32, {3, 2}));
    const Optimizer optimizer(state, Muon{});
    Function step = step_of(optimizer, w);
    step(Tensor::from({size, 0.0f, -size, size, 0.5f * size, 0.0f}, {3, 2}), Tensor::scalar(0.1f));
    for (std::int64_t i = 0; i < 6; ++i)
      BOOST_TEST(std::isfinite(w.value().at(i)), size << ", element " << i);
  }
}

BOOST_AUTO_TEST_CASE(no_gradient_no_step) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    StateDict state;
    const Tensor start = tensor(drawn(4, 3, 5), {4, 3}).to(dtype);
    const State w = state.create("w", start);
    const Optimizer optimizer(state, Muon{});
    Function step = step_of(optimizer, w);
    for (int i = 0; i < 3; ++i) step(Tensor(dtype, {4, 3}), Tensor::scalar(0.1));
    BOOST_TEST(identical(w.value(), start));
  }
}

BOOST_AUTO_TEST_CASE(a_vector_is_refused) {
  StateDict state;
  const State bias = state.create("fc1/bias", Tensor(DType::f32, {3}));
  const Optimizer optimizer(state, Muon{});
  Function step = step_of(optimizer, bias);
  const std::string error = thrown([&] { step(Tensor(DType::f32, {3}), Tensor::scalar(0.1f)); });
  BOOST_TEST(error.find("muon is for matrices and filters; the parameter fc1/bias of shape [3] needs a group "
                        "with another rule") != std::string::npos,
             error);
}

BOOST_AUTO_TEST_CASE(biases_and_the_last_matrix_have_another_rule) {
  StateDict state;
  for (const char* name : {"conv/weight", "fc1/weight", "fc2/weight"})
    state.create(name, tensor(drawn(4, 3, 6), {4, 3}));
  for (const char* name : {"fc1/bias", "fc2/bias"}) state.create(name, tensor(drawn(1, 3, 7), {3}));
  const Optimizer optimizer = muon_optimizer(state, state.parameters(), {}, std::make_shared<Adam>());
  Function f = [&](Var x, Var lr) {
    std::vector<ParameterGradient> pairs;
    for (const State& p : state.parameters()) pairs.push_back({p, x.tape().read(p) * x});
    optimizer.step(pairs, lr);
    return x;
  };
  f(Tensor::scalar(2.0), Tensor::scalar(0.1));
  for (const char* name : {"conv/weight", "fc1/weight"}) {
    BOOST_TEST(state.find(text("muon/", name, "/velocity")) != nullptr, name);
    BOOST_TEST(state.find(text("muon/", name, "/v")) == nullptr, name);
  }
  for (const char* name : {"fc2/weight", "fc1/bias", "fc2/bias"}) {
    BOOST_TEST(state.find(text("muon/", name, "/velocity")) == nullptr, name);
    BOOST_TEST(state.find(text("muon/", name, "/v")) != nullptr, name);
  }
  // Of Muon's kind of step, which is as long as Adam's.
  const Matrix before = drawn(4, 3, 6), after = matrix(state.at("fc1/weight").value(), 4, 3);
  double squares = 0;
  for (std::size_t i = 0; i < 12; ++i) squares += std::pow(after.values[i] - before.values[i], 2);
  BOOST_TEST(std::sqrt(squares / 12) > 0.7 * 0.1 * 0.2);
  BOOST_TEST(std::sqrt(squares / 12) < 1.2 * 0.1 * 0.2);
}

BOOST_AUTO_TEST_CASE(large_steps_have_the_same_bits_and_allocate_nothing) {
  const RestoreThreads restore;
  Tensor first;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    StateDict state;
    const State w = state.create("w", tensor(drawn(576, 96, 8), {3, 3, 64, 96}).to(DType::f32));
    const Optimizer optimizer(state, Muon{});
    Function step = step_of(optimizer, w);
    const Tensor g = tensor(drawn(576, 96, 9), {3, 3, 64, 96}).to(DType::f32), rate = Tensor::scalar(0.02f);
    for (int i = 0; i < 3; ++i) step(g, rate);
    const std::size_t before = allocations();
    for (int i = 0; i < 5; ++i) step(g, rate);
    BOOST_TEST(allocations() - before == 0u, threads << " threads");
    if (threads == 1) first = w.value();
    BOOST_TEST(identical(first, w.value()), threads << " threads");
  }
}

BOOST_AUTO_TEST_SUITE_END()
