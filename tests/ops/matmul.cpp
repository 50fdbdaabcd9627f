#include "../support/graphs.hpp"
#include "../support/random_tensor.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>

#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// By definition, one number at a time.
Tensor product(Tensor a, Tensor b, MatmulAttrs flags) {
  const bool vector_a = a.rank() == 1, vector_b = b.rank() == 1;
  if (vector_a) a = a.reshaped({1, a.elements()});
  if (vector_b) b = b.reshaped({b.elements(), 1});
  const auto split = [](const Tensor& x) {
    return Shape(std::span(x.shape().begin(), x.shape().size() - 2));
  };
  const Shape batch = broadcast(split(a), split(b)).value();
  const bool ta = flags.transpose_a && !vector_a, tb = flags.transpose_b && !vector_b;
  const std::int64_t rows_a = a.shape()[a.rank() - 2], columns_a = a.shape().back();
  const std::int64_t rows_b = b.shape()[b.rank() - 2], columns_b = b.shape().back();
  const std::int64_t m = ta ? columns_a : rows_a, k = ta ? rows_a : columns_a, n = tb ? rows_b : columns_b;
  Shape full = batch, shape = batch;
  full.push_back(m);
  full.push_back(n);
  if (!vector_a) shape.push_back(m);
  if (!vector_b) shape.push_back(n);
  std::vector<double> values;
  for (std::int64_t e = 0; e < batch.elements(); ++e) {
    const auto start = [&](const Tensor& x) {  // of the matrix that x has at batch position e
      std::int64_t rest = e, at = 0, step = 1;
      for (int i = 1; i <= batch.rank(); ++i) {
        const std::int64_t where = rest % batch[batch.rank() - i];
        rest /= batch[batch.rank() - i];
        if (i + 2 > x.rank()) continue;
        const std::int64_t own = x.shape()[x.rank() - 2 - i];
        at += (own == 1 ? 0 : where) * step;
        step *= own;
      }
      return at * x.shape()[x.rank() - 2] * x.shape().back();
    };
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double total = 0;
        for (std::int64_t l = 0; l < k; ++l) {
          total += a.at(start(a) + (ta ? l * columns_a + i : i * columns_a + l)) *
                   b.at(start(b) + (tb ? j * columns_b + l : l * columns_b + j));
        }
        values.push_back(total);
      }
    }
  }
  return Tensor::from(values, full).reshaped(shape);
}

double difference(const Tensor& a, const Tensor& b) {
  BOOST_REQUIRE_EQUAL(to_string(a.shape()), to_string(b.shape()));
  double worst = 0;
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    const double d = std::abs(a.at(i) - b.at(i));
    worst = std::max(worst, std::isnan(d) ? INFINITY : d);
  }
  return worst;
}

Shape stored(const Shape& shape, bool transposed) {
  Shape out = shape;
  if (transposed && shape.rank() > 1) std::swap(out[shape.rank() - 2], out[shape.rank() - 1]);
  return out;
}

constexpr MatmulAttrs kFlags[] = {{false, false}, {true, false}, {false, true}, {true, true}};

const std::pair<Shape, Shape> kShapes[] = {
    {{2, 3}, {3, 4}},
    {{1, 5}, {5, 1}},
    {{4, 1}, {1, 3}},
    {{1, 1}, {1, 1}},
    {{5, 2, 3}, {5, 3, 4}},
    {{5, 2, 3}, {3, 4}},
    {{2, 3}, {5, 3, 4}},
    {{4, 1, 2, 3}, {3, 3, 2}},
    {{1, 2, 3}, {4, 3, 2}},
    {{2, 3, 1, 2}, {2, 3, 2, 2}},
    {{2, 1, 2, 3, 2}, {2, 1, 2, 2}},
    {{3}, {3}},
    {{3}, {3, 2}},
    {{2, 3}, {3}},
    {{3}, {4, 3, 2}},
    {{4, 2, 3}, {3}},
    {{2, 0}, {0, 3}},
    {{0, 3}, {3, 2}},
    {{2, 3}, {3, 0}},
    {{0, 2, 3}, {3, 2}},
    {{0, 2, 3}, {0, 3, 2}},
    {{0}, {0}},
};

double derivative_error(const CheckedFunction& f, const std::vector<Tensor>& inputs) {
  return check_gradients(f, inputs, {.order = 2}).error;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(matmul)

BOOST_AUTO_TEST_CASE(products_of_all_ranks) {
  for (const auto& [a, b] : kShapes) {
    for (const MatmulAttrs flags : kFlags) {
      const Tensor x = random_tensor(stored(a, flags.transpose_a)),
                   y = random_tensor(stored(b, flags.transpose_b), 2);
      Tape tape;
      const Tensor z = evaluate(tapestry::matmul(tape.constant(x), y, flags));
      BOOST_TEST(difference(z, product(x, y, flags)) < 1e-14, a << " by " << b);
      const Tensor f = evaluate(tapestry::matmul(tape.constant(x.to(DType::f32)), y.to(DType::f32), flags));
      BOOST_TEST(name_of(f.dtype()) == "f32");
      BOOST_TEST(difference(f, product(x, y, flags)) < 1e-6, a << " by " << b);
    }
  }
}

BOOST_AUTO_TEST_CASE(derivatives_of_first_and_second_order) {
  for (const auto& [a, b] : kShapes) {
    for (const MatmulAttrs flags : kFlags) {
      const Tensor x = random_tensor(stored(a, flags.transpose_a)),
                   y = random_tensor(stored(b, flags.transpose_b), 2);
      const auto f = [&](std::span<const Var> v) {
        const Var z = tapestry::matmul(v[0], v[1], flags);
        return z * z;
      };
      BOOST_TEST(derivative_error(f, {x, y}) < 1e-7, a << " by " << b);
    }
  }
  const auto gram = [](std::span<const Var> v) {
    return tapestry::matmul(v[0], v[0], {.transpose_b = true});
  };
  BOOST_TEST(derivative_error(gram, {random_tensor({2, 3})}) < 1e-7);
}

BOOST_AUTO_TEST_CASE(mistakes_name_operands_shapes_and_lines) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {100, 3072}});
  const State w("fc1/weight", Tensor(DType::f32, {3071, 500}));
  tape.read(w);
  const int line = __LINE__ + 1;
  BOOST_TEST(thrown([&] { tapestry::matmul(x, w); }) ==
             text("matmul.cpp:", line, ": matmul: inner dimensions differ: x [100, 3072] (matmul.cpp:",
                  line - 4, ") · fc1/weight [3071, 500] (matmul.cpp:", line - 2, ")"));
  const auto reason = [&](const Shape& a, const Shape& b, MatmulAttrs flags = {}) {
    const std::string text = thrown([&] {
      tapestry::matmul(tape.input("a", {DType::f32, a}), tape.input("b", {DType::f32, b}), flags);
    });
    const auto start = text.find("matmul: ") + 8;
    return text.substr(start, text.find(':', start) - start);
  };
  BOOST_TEST(reason({2, 3}, {3, 2}, {.transpose_a = true}) == "inner dimensions differ");
  BOOST_TEST(reason({2, 3}, {3, 2}, {.transpose_b = true}) == "inner dimensions differ");
  BOOST_TEST(reason({3}, {2}) == "inner dimensions differ");
  BOOST_TEST(reason({1}, {2, 2}) == "inner dimensions differ");
  BOOST_TEST(reason({}, {2, 2}) == "a scalar is no matrix");
  BOOST_TEST(reason({2, 2}, {}) == "a scalar is no matrix");
  BOOST_TEST(reason({2, 1, 2}, {3, 2, 2}) == "batch dimensions can't be broadcast");
  BOOST_CHECK_THROW(tapestry::matmul(x, Tensor(DType::f64, {3072, 1})), Error);
  BOOST_CHECK_THROW(tapestry::matmul(tape.constant(Tensor(DType::i32, {2, 2})), Tensor(DType::i32, {2, 2})),
                    Error);
}

BOOST_AUTO_TEST_CASE(linear_is_a_product_and_a_bias) {
  for (const Shape& shape : {Shape{3, 4}, Shape{1, 4}, Shape{2, 3, 4}, Shape{0, 4}, Shape{4}}) {
    const Tensor x = random_tensor(shape), w = random_tensor({4, 2}, 2), b = random_tensor({2}, 3);
    Tape tape;
    const Tensor y = evaluate(linear(tape.constant(x), w, b));
    Tensor expected = product(x, w, {});
    for (std::size_t i = 0; i < expected.values<double>().size(); ++i) {
      expected.mutable_values<double>()[i] += b.at(std::int64_t(i) % 2);
    }
    BOOST_TEST(difference(y, expected) < 1e-14);
    const auto f = [&](std::span<const Var> v) { return square(linear(v[0], v[1], v[2])); };
    BOOST_TEST(derivative_error(f, {x, w, b}) < 1e-7);
  }
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {3, 4}}), w = tape.input("w", {DType::f32, {4, 2}});
  BOOST_CHECK_THROW(linear(x, x, w), Error);
  BOOST_CHECK_THROW(linear(x, w, x), Error);
  BOOST_CHECK_THROW(linear(x, w, Tensor(DType::f64, {2})), Error);
  const int line = __LINE__ + 1;
  BOOST_TEST(thrown([&] { linear(x, w, Tensor(DType::f32, {3})); }) ==
             text("matmul.cpp:", line, ": linear: the bias isn't f32 [2]: x [3, 4] (matmul.cpp:", line - 5,
                  ") · w [4, 2] (matmul.cpp:", line - 5, ") · constant [3] (matmul.cpp:", line, ")"));
}

BOOST_AUTO_TEST_CASE(transposes_are_absorbed) {
  const auto simple = [](const std::function<Var(Var, Var)>& f, const Shape& x, const Shape& y) {
    return simplified(f, {DType::f64, x}, {DType::f64, y});
  };
  BOOST_TEST(simple([](Var x, Var y) { return tapestry::matmul(x, transpose(y)); }, {2, 3}, {4, 3}) ==
             "matmul(x, y){transpose_a=false, transpose_b=true}");
  BOOST_TEST(simple(
                 [](Var x, Var y) {
                   return tapestry::matmul(transpose(y), transpose(x), {true, false});
                 },
                 {2, 3}, {4, 3}) == "matmul(y, x){transpose_a=false, transpose_b=true}");
  BOOST_TEST(simple(
                 [](Var x, Var) {
                   return tapestry::matmul(permute(x, {0, 2, 1}), x);
                 },
                 {5, 2, 3}, {}) == "matmul(x, x){transpose_a=true, transpose_b=false}");
  // A batch moved to another place is no transpose.
  BOOST_TEST(simple(
                 [](Var x, Var) {
                   return tapestry::matmul(permute(x, {2, 1, 0}), x);
                 },
                 {2, 2, 2},
                 {}) == "matmul(permute(x){order=[2, 1, 0]}, x){transpose_a=false, transpose_b=false}");
}

BOOST_AUTO_TEST_CASE(a_batch_by_one_matrix_has_one_product_for_its_gradient) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {5, 2, 3}}), w = tape.input("w", {DType::f32, {3, 4}});
  const Var g = gradient(sum(tapestry::matmul(x, w)), w);
  const Graph& graph = tape.graph();
  BOOST_TEST(graph.op(g.id()).name == "matmul");
  BOOST_TEST(graph.type(graph.input(g.id(), 0)).shape == (Shape{10, 3}));
}

BOOST_AUTO_TEST_CASE(flops_count_multiplications_and_additions) {
  const Op& op = registry().at("matmul");
  const auto flops = [&](const Shape& a, const Shape& b, MatmulAttrs flags) {
    const std::vector<Type> x = {{DType::f32, a}, {DType::f32, b}};
    const Attrs attrs = flags;
    return op.flops(x, op.type({x, attrs}), attrs);
  };
  BOOST_TEST(flops({100, 3072}, {3072, 500}, {}) == 2.0 * 100 * 3072 * 500);
  BOOST_TEST(flops({3, 2}, {5, 3, 4}, {.transpose_a = true}) == 2.0 * 5 * 2 * 3 * 4);
  BOOST_TEST(flops({3}, {3}, {}) == 6);
}

BOOST_AUTO_TEST_SUITE_END()
