#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/arg_reduce.hpp>
#include <tapestry/tests/support/restore_threads.hpp>
#include <tapestry/tests/support/special_numbers.hpp>

#include <cmath>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::kInf;
using test::kNan;

namespace {

bool is_in(const Shape& axes, int axis) {
  for (const std::int64_t a : axes) {
    if (a == axis) return true;
  }
  return false;
}

Shape kept_shape(const Shape& shape, const Shape& axes) {
  Shape kept;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!is_in(axes, axis)) kept.push_back(shape[axis]);
  }
  return kept;
}

std::vector<std::int64_t> found(bool max, const Tensor& x, const Shape& axes) {
  Tensor y(DType::i64, kept_shape(x.shape(), axes));
  (max ? kernels::argmax : kernels::argmin)(x.view(), axes, y.mutable_view());
  const auto values = y.values<std::int64_t>();
  return {values.begin(), values.end()};
}

// Visits all elements in order; keeps the best so far for each result.
std::vector<std::int64_t> by_the_book(bool max, const Tensor& x, const Shape& axes) {
  const Shape& shape = x.shape();
  const auto results = std::size_t(kept_shape(shape, axes).elements());
  std::vector<std::int64_t> best(results, -1);
  std::vector<double> values(results);
  for (std::int64_t position = 0; position < x.elements(); ++position) {
    std::int64_t left = position, kept = 0, reduced = 0, kept_step = 1, reduced_step = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      const std::int64_t index = left % shape[axis];
      left /= shape[axis];
      if (is_in(axes, axis)) {
        reduced += index * reduced_step;
        reduced_step *= shape[axis];
      } else {
        kept += index * kept_step;
        kept_step *= shape[axis];
      }
    }
    const auto r = std::size_t(kept);
    const double value = x.at(position);
    const bool better =
        std::isnan(value) ? !std::isnan(values[r]) : (max ? value > values[r] : value < values[r]);
    if (best[r] < 0 || better) best[r] = reduced, values[r] = value;
  }
  return best;
}

// Few distinct values, so that there are ties; a few NaN.
Tensor random_tensor(const Shape& shape, DType dtype) {
  Random random(5);
  std::vector<double> values(std::size_t(shape.elements()));
  for (double& value : values) value = double(random.below(9)) - (dtype == DType::u8 ? 0 : 4);
  Tensor x = Tensor::from(values, shape);
  if (is_floating(dtype)) {
    for (double& value : x.mutable_values<double>()) value = random.below(40) == 0 ? kNan : value;
  }
  return x.to(dtype);
}

struct Case {
  Shape shape, axes;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(arg_reduce, test::RestoreThreads)

BOOST_AUTO_TEST_CASE(any_axes_of_any_shape) {
  for (const auto& [shape, axes] : {Case{{}, {}},
                                    {{7}, {0}},
                                    {{7}, {}},
                                    {{1}, {0}},
                                    {{100, 10}, {1}},
                                    {{100, 10}, {0}},
                                    {{100, 10}, {0, 1}},
                                    {{4, 1, 6}, {1}},
                                    {{4, 6, 1}, {1}},
                                    {{4, 6, 1}, {0, 2}},
                                    {{3, 4, 5, 6}, {1}},
                                    {{3, 4, 5, 6}, {0, 2}},
                                    {{3, 4, 5, 6}, {1, 3}},
                                    {{3, 4, 5, 6}, {0, 3}},
                                    {{3, 4, 5, 6}, {1, 2}},
                                    {{3, 4, 5, 6}, {0, 1, 2, 3}},
                                    {{0, 3}, {1}},
                                    {{5, 200}, {0}},
                                    {{2, 3, 2, 2, 3, 2, 2, 2}, {0, 3, 4, 6}}}) {
    for (const DType dtype :
         {DType::f32, DType::f64, DType::bf16, DType::i32, DType::i64, DType::u8, DType::boolean}) {
      const Tensor x = random_tensor(shape, dtype);
      BOOST_TEST_CONTEXT(x.type() << " over " << axes) {
        BOOST_TEST(found(true, x, axes) == by_the_book(true, x, axes));
        BOOST_TEST(found(false, x, axes) == by_the_book(false, x, axes));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(ties_go_to_the_first_and_the_first_nan_wins) {
  const Tensor x = Tensor::from({1.0, 3.0, 3.0, 0.0, 0.0, kNan, kInf, kNan, -kInf, 2.0, -kInf, 2.0}, {3, 4});
  BOOST_TEST(found(true, x, {1}) == (std::vector<std::int64_t>{1, 1, 1}));
  BOOST_TEST(found(false, x, {1}) == (std::vector<std::int64_t>{3, 1, 0}));
  BOOST_TEST(found(true, x, {0}) == (std::vector<std::int64_t>{0, 1, 1, 1}));
  BOOST_TEST(found(true, x, {0, 1}) == (std::vector<std::int64_t>{5}));
  BOOST_TEST(found(true, Tensor::from({-kInf, -kInf}, {2}), {0}) == (std::vector<std::int64_t>{0}));
  BOOST_TEST(found(true, Tensor::from({-0.0, 0.0}, {2}), {0}) == (std::vector<std::int64_t>{0}));
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_nothing) {
  for (const auto& [shape, axes] : {Case{{5000, 30}, {1}}, {{30, 5000}, {0}}, {{40, 50, 60}, {0, 2}}}) {
    const Tensor x = random_tensor(shape, DType::f32);
    const std::vector<std::int64_t> expected = by_the_book(true, x, axes);
    for (const int threads : {1, 2, 3, 5, 8}) {
      set_thread_count(threads);
      BOOST_TEST((found(true, x, axes) == expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_to_choose_from_is_refused) {
  BOOST_CHECK_EXCEPTION(found(true, Tensor(DType::f32, {3, 0}), {1}), Error, [](const Error& e) {
    return std::string(e.what()) == "argmax over axes [1] of f32 [3, 0]: there is nothing to choose from";
  });
  BOOST_CHECK_THROW(found(false, Tensor(DType::f32, {0}), {0}), Error);
  BOOST_TEST(found(true, Tensor(DType::f32, {0, 0}), {1}).empty());
  Tensor wrong(DType::i32, {3});
  BOOST_CHECK_THROW(kernels::argmax(Tensor(DType::f32, {3, 2}).view(), {1}, wrong.mutable_view()), Error);
}

BOOST_AUTO_TEST_SUITE_END()
