#include "../support/random_tensor.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/pointwise.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

Tensor i64(std::initializer_list<std::int64_t> values, const Shape& shape) {
  return Tensor::from(values, shape);
}

/// x [before, n, after] at [o, indices[i], k], and where that is in the result.
template <class F>
void for_each_taken(const Shape& x, const Tensor& indices, int axis, const F& f) {
  std::int64_t before = 1, after = 1;
  for (int i = 0; i < x.rank(); ++i) (i < axis ? before : after) *= i == axis ? 1 : x[i];
  const std::int64_t count = indices.elements();
  for (std::int64_t o = 0; o < before; ++o) {
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t k = 0; k < after; ++k) {
        f((o * x[axis] + std::int64_t(indices.at(i))) * after + k, (o * count + i) * after + k);
      }
    }
  }
}

struct Case {
  Shape x;
  Tensor indices;
  int axis;
  Shape y;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{4, 3}, i64({2, 0, 2, 3}, {4}), 0, {4, 3}},
      {{2, 4}, i64({3, 3, 1}, {3}), 1, {2, 3}},
      {{2, 3, 2}, i64({2, 2, 0}, {3}), 1, {2, 3, 2}},
      {{5}, i64({0, 4, 4, 1}, {2, 2}), 0, {2, 2}},
      {{2, 3}, i64({0, 1, 2, 2}, {2, 2}), 1, {2, 2, 2}},
      {{3, 2}, i64({1}, {}), 0, {2}},
      {{3, 2}, i64({}, {0}), 0, {0, 2}},
      {{3, 0}, i64({1, 1}, {2}), 0, {2, 0}},
      {{1, 1}, i64({0}, {1}), 1, {1, 1}},
      {{7, 40}, i64({6, 0, 6, 5}, {4, 1}), 0, {4, 1, 40}},
  };
  return all;
}

double derivative_error(const CheckedFunction& f, const std::vector<Tensor>& inputs) {
  return check_gradients(f, inputs, {.order = 2}).error;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(indexing)

BOOST_AUTO_TEST_CASE(take_picks_slices) {
  for (const auto& [shape, indices, axis, expected] : cases()) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::i64, DType::u8}) {
      Tape tape;
      const Tensor x = Tensor::linspace(0, double(shape.elements()), shape).to(dtype);
      const Tensor y = evaluate(take(tape.constant(x), indices, axis));
      BOOST_TEST(y.type() == (Type{dtype, expected}));
      for_each_taken(shape, indices, axis,
                     [&](std::int64_t from, std::int64_t to) { BOOST_TEST(y.at(to) == x.at(from)); });
    }
  }
}

BOOST_AUTO_TEST_CASE(scatter_add_adds_slices) {
  for (const auto& [shape, indices, axis, taken] : cases()) {
    for (const DType dtype : {DType::f32, DType::f64, DType::i64}) {
      Tape tape;
      const Tensor base = Tensor::linspace(0, double(shape.elements()), shape).to(dtype);
      const Tensor updates = Tensor::linspace(100, 200, taken).to(DType::i32).to(dtype);
      const Tensor y = evaluate(scatter_add(tape.constant(base), indices, updates, axis - shape.rank()));
      BOOST_TEST(y.type() == base.type());
      std::vector<double> expected;
      for (std::int64_t i = 0; i < base.elements(); ++i) expected.push_back(base.at(i));
      for_each_taken(shape, indices, axis, [&](std::int64_t to, std::int64_t from) {
        expected[std::size_t(to)] += updates.at(from);
      });
      for (std::int64_t i = 0; i < y.elements(); ++i) {
        BOOST_TEST(y.at(i) == expected[std::size_t(i)],
                   boost::test_tools::tolerance(dtype == DType::f32 ? 1e-6 : 1e-14));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(indices_of_either_size) {
  Tape tape;
  const Var x = tape.constant(Tensor::from({1.0, 2.0, 3.0}, {3}));
  for (const DType dtype : {DType::i32, DType::i64}) {
    const Tensor indices = i64({2, 0}, {2}).to(dtype);
    BOOST_TEST(to_string(evaluate(take(x, indices, 0))) == "f64 [2] {3, 1}");
    BOOST_TEST(to_string(evaluate(scatter_add(x, indices, Tensor::from({10.0, 20.0}, {2}), 0))) ==
               "f64 [3] {21, 2, 13}");
    BOOST_TEST(to_string(evaluate(one_hot(tape.constant(indices), 3))) == "f32 [2, 3] {0, 0, 1, 1, 0, 0}");
  }
}

BOOST_AUTO_TEST_CASE(indices_outside_are_named) {
  Tape tape;
  const Var x = tape.constant(Tensor::from({1.0, 2.0, 3.0, 4.0}, {2, 2}));
  for (const std::int64_t bad : {std::int64_t{2}, std::int64_t{-1}, INT64_MIN, INT64_MAX}) {
    const Tensor indices = i64({0, 1, bad}, {3});
    const std::string range = text("index ", bad, " at position 2 is outside [0, 2)");
    const int line = __LINE__ + 1;
    BOOST_TEST(thrown([&] { evaluate(take(x, indices, 1)); }) ==
               text("indexing.cpp:", line, ": take: ", range));
    const Tensor updates(DType::f64, {2, 3});
    BOOST_TEST(thrown([&] { evaluate(scatter_add(x, indices, updates, 1)); }) ==
               text("indexing.cpp:", line + 3, ": scatter_add: ", range));
  }
  // Nothing can be picked from nothing.
  BOOST_CHECK_THROW(evaluate(take(tape.constant(Tensor(DType::f32, {0, 3})), i64({0}, {1}), 0)), Error);
}

BOOST_AUTO_TEST_CASE(mistakes_name_the_line) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2, 3}});
  const Var i = tape.input("i", {DType::i64, {4}});
  const int line = __LINE__ + 1;
  BOOST_TEST(thrown([&] { take(x, x, 0); }) ==
             text("indexing.cpp:", line, ": take: indices are i32 or i64, not f32: x [2, 3] (indexing.cpp:",
                  line - 3, ") · x [2, 3] (indexing.cpp:", line - 3, ")"));
  BOOST_CHECK_THROW(take(x, i, 2), Error);
  BOOST_CHECK_THROW(take(x, 0, 0), Error);
  BOOST_TEST(thrown([&] { scatter_add(x, i, x, 0); }).find("the updates must be [4, 3]") !=
             std::string::npos);
  BOOST_CHECK_THROW(scatter_add(x, i, i, 1), Error);
  BOOST_CHECK_THROW(one_hot(x, 3), Error);
  BOOST_CHECK_THROW(one_hot(i, -1), Error);
}

BOOST_AUTO_TEST_CASE(one_hot_marks_the_index) {
  Tape tape;
  const auto hot = [&](const Tensor& indices, std::int64_t classes, DType dtype) {
    return to_string(evaluate(one_hot(tape.constant(indices), classes, dtype)));
  };
  for (const DType dtype :
       {DType::f32, DType::f64, DType::bf16, DType::i32, DType::i64, DType::u8, DType::boolean}) {
    BOOST_TEST(hot(i64({1, 0}, {2}), 2, dtype) == text(name_of(dtype), " [2, 2] {0, 1, 1, 0}"));
  }
  BOOST_TEST(hot(i64({2}, {}), 3, DType::f64) == "f64 [3] {0, 0, 1}");
  BOOST_TEST(hot(i64({0}, {1, 1}), 1, DType::f64) == "f64 [1, 1, 1] {1}");
  BOOST_TEST(hot(i64({-1, 2, INT64_MAX}, {3}), 2, DType::f32) == "f32 [3, 2] {0, 0, 0, 0, 0, 0}");
  BOOST_TEST(hot(i64({}, {0}), 3, DType::f32) == "f32 [0, 3] {}");
  BOOST_TEST(hot(i64({5}, {1}), 0, DType::f32) == "f32 [1, 0] {}");
}

BOOST_AUTO_TEST_CASE(derivatives_of_first_and_second_order) {
  for (const auto& [shape, indices, axis, taken] : cases()) {
    const auto picked = [&](std::span<const Var> v) {
      const Var y = take(v[0], indices, axis);
      return y * y;
    };
    BOOST_TEST(derivative_error(picked, {random_tensor(shape)}) < 1e-7);
    const auto added = [&](std::span<const Var> v) {
      const Var y = scatter_add(v[0], indices, v[1], axis);
      return y * y;
    };
    BOOST_TEST(derivative_error(added, {random_tensor(shape), random_tensor(taken, 2)}) < 1e-7);
  }
}

BOOST_AUTO_TEST_SUITE_END()
