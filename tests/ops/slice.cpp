#include "../support/graphs.hpp"
#include "../support/random_tensor.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <algorithm>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

Tensor vector(std::initializer_list<double> values) {
  return Tensor::from(values, {std::int64_t(values.size())});
}

std::string sliced(const Tensor& x, const Range& range) {
  Tape tape;
  return to_string(evaluate(slice(tape.constant(x), {range})));
}

/// Calls f(position, index) for each place of a shape.
template <class F>
void for_each_place(const Shape& shape, const F& f) {
  Shape at = Shape::filled(shape.rank(), 0);
  for (std::int64_t p = 0; p < shape.elements(); ++p) {
    f(p, at);
    for (int i = shape.rank() - 1; i >= 0 && ++at[i] == shape[i]; --i) at[i] = 0;
  }
}

double derivative_error(const CheckedFunction& f, const std::vector<Tensor>& inputs) {
  return check_gradients(f, inputs, {.order = 2}).error;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(slice)

BOOST_AUTO_TEST_CASE(bounds_are_those_of_numpy) {
  const Tensor x = vector({0, 1, 2, 3, 4});
  BOOST_TEST(sliced(x, {}) == "f64 [5] {0, 1, 2, 3, 4}");
  BOOST_TEST(sliced(x, {1, 4}) == "f64 [3] {1, 2, 3}");
  BOOST_TEST(sliced(x, {-2}) == "f64 [2] {3, 4}");
  BOOST_TEST(sliced(x, {0, -1, 2}) == "f64 [2] {0, 2}");
  BOOST_TEST(sliced(x, {1, Range::end, 3}) == "f64 [2] {1, 4}");
  BOOST_TEST(sliced(x, {-9, 9}) == "f64 [5] {0, 1, 2, 3, 4}");
  BOOST_TEST(sliced(x, {2, 3, 100}) == "f64 [1] {2}");
  BOOST_TEST(sliced(x, {3, 3}) == "f64 [0] {}");
  BOOST_TEST(sliced(x, {4, 1}) == "f64 [0] {}");
  BOOST_TEST(sliced(x, {7, 9}) == "f64 [0] {}");
  BOOST_TEST(sliced(Tensor(DType::i64, {0}), {0, 1}) == "i64 [0] {}");
}

BOOST_AUTO_TEST_CASE(slices_of_several_axes) {
  const Tensor x = random_tensor({5, 1, 6, 3});
  const std::vector<Range> ranges = {{1, 5, 2}, {}, {-4, -1}, {0, Range::end, 2}};
  Tape tape;
  const Tensor y = evaluate(tapestry::slice(tape.constant(x), ranges));
  BOOST_TEST(y.shape() == (Shape{2, 1, 3, 2}));
  for_each_place(y.shape(), [&](std::int64_t p, const Shape& at) {
    BOOST_TEST(y.at(p) == x.at((1 + 2 * at[0]) * 18 + (2 + at[2]) * 3 + 2 * at[3]));
  });
  // Axes that aren't mentioned stay whole.
  BOOST_TEST(tapestry::slice(tape.constant(x), {{0, 2}}).shape() == (Shape{2, 1, 6, 3}));
  BOOST_TEST(tapestry::slice(tape.constant(x), -2, 1, 6, 2).shape() == (Shape{5, 1, 3, 3}));
  BOOST_TEST(identical(evaluate(tapestry::slice(tape.constant(x), {})), x));
}

BOOST_AUTO_TEST_CASE(mistakes_in_slices) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2, 3}});
  const int line = __LINE__ + 1;
  BOOST_TEST(
      thrown([&] { tapestry::slice(x, 0, 0, 2, 0); }) ==
      text("slice.cpp:", line, ": slice: the step 0 isn't positive: x [2, 3] (slice.cpp:", line - 2, ")"));
  BOOST_TEST(thrown([&] {
               tapestry::slice(x, {{}, {}, {}});
             }).find("3 ranges are more than it has axes") != std::string::npos);
  BOOST_CHECK_THROW(tapestry::slice(x, 2, 0, 1), Error);
  BOOST_CHECK_THROW(tapestry::slice(x, 0, 0, 1, -1), Error);
}

BOOST_AUTO_TEST_CASE(pad_puts_values_around_and_between) {
  Tape tape;
  const Var x = tape.constant(vector({1, 2, 3}));
  BOOST_TEST(to_string(evaluate(pad(x, {2}, {1}))) == "f64 [6] {0, 0, 1, 2, 3, 0}");
  BOOST_TEST(to_string(evaluate(pad(x, {0}, {1}, -1.5, {1}))) == "f64 [6] {1, -1.5, 2, -1.5, 3, -1.5}");
  BOOST_TEST(to_string(evaluate(pad(x, {0}, {0}))) == "f64 [3] {1, 2, 3}");
  BOOST_TEST(to_string(evaluate(pad(tapestry::slice(x, 0, 0, 0), {1}, {2}, 7, {3}))) == "f64 [3] {7, 7, 7}");
  const Tensor y = random_tensor({2, 3, 1, 2});
  const Tensor z = evaluate(pad(tape.constant(y), {1, 0, 2, 1}, {0, 2, 0, 1}, 0.5, {2, 1, 4, 0}));
  BOOST_TEST(z.shape() == (Shape{5, 7, 3, 4}));
  for_each_place(z.shape(), [&](std::int64_t p, const Shape& at) {
    const bool inside = at[0] >= 1 && (at[0] - 1) % 3 == 0 && at[1] % 2 == 0 && at[1] < 5 && at[2] == 2 &&
                        at[3] >= 1 && at[3] < 3;
    BOOST_TEST(z.at(p) == (inside ? y.at((at[0] - 1) / 3 * 6 + at[1] / 2 * 2 + at[3] - 1) : 0.5));
  });
  for (const DType dtype : {DType::f32, DType::bf16, DType::i32, DType::i64, DType::u8, DType::boolean}) {
    const Tensor padded = evaluate(pad(tape.constant(vector({0, 1}).to(dtype)), {1}, {0}, 1));
    BOOST_TEST(padded.type() == (Type{dtype, {3}}));
    BOOST_TEST((padded.at(0) == 1 && padded.at(1) == 0 && padded.at(2) == 1), name_of(dtype));
  }
}

BOOST_AUTO_TEST_CASE(mistakes_in_padding) {
  Tape tape;
  const Var x = tape.input("x", {DType::i32, {2, 3}});
  const int line = __LINE__ + 1;
  BOOST_TEST(thrown([&] { pad(x, {1}, {1}); }) ==
             text("slice.cpp:", line,
                  ": pad: padding [1] doesn't fit its axes: x [2, 3] (slice.cpp:", line - 2, ")"));
  BOOST_CHECK_THROW(pad(x, {1, -1}, {0, 0}), Error);
  BOOST_CHECK_THROW(pad(x, {1, 1}, {0, 0}, 0.5), Error);
  BOOST_CHECK_THROW(pad(x, {1, 1}, {0, 0}, 0, {1}), Error);
  // 2^16 times 2^48 - 1 is 2^64 - 2^16, and would take an element for each of 2^16 that there are.
  const Var many = tape.input("many", {DType::f32, {65537}});
  BOOST_CHECK_THROW(pad(many, {0}, {0}, 0, {(std::int64_t{1} << 48) - 1}), Error);
  BOOST_CHECK_THROW(pad_reflect(x, {2, 0}, {0, 0}), Error);
  BOOST_CHECK_THROW(pad_reflect(x, {0, 0}, {0, 3}), Error);
  BOOST_CHECK_THROW(pad_reflect(x, {0}, {0}), Error);
  BOOST_CHECK_THROW(pad_reflect(x, {-1, 0}, {0, 0}), Error);
}

BOOST_AUTO_TEST_CASE(pad_reflect_mirrors_without_the_border) {
  Tape tape;
  const Var x = tape.constant(vector({1, 2, 3}));
  BOOST_TEST(to_string(evaluate(pad_reflect(x, {2}, {1}))) == "f64 [6] {3, 2, 1, 2, 3, 2}");
  BOOST_TEST(to_string(evaluate(pad_reflect(reshape(x, {3, 1}), {0, 0}, {1, 0}))) ==
             "f64 [4, 1] {1, 2, 3, 2}");
  const Tensor y = random_tensor({3, 4});
  const Tensor z = evaluate(pad_reflect(tape.constant(y), {1, 3}, {2, 0}));
  BOOST_TEST(z.shape() == (Shape{6, 7}));
  const std::int64_t rows[] = {1, 0, 1, 2, 1, 0}, columns[] = {3, 2, 1, 0, 1, 2, 3};
  for_each_place(z.shape(), [&](std::int64_t p, const Shape& at) {
    BOOST_TEST(z.at(p) == y.at(rows[at[0]] * 4 + columns[at[1]]));
  });
}

BOOST_AUTO_TEST_CASE(concat_and_stack) {
  Tape tape;
  for (int axis = 0; axis < 3; ++axis) {
    std::vector<Var> parts;
    std::vector<Tensor> values;
    for (const std::int64_t extent : {2, 0, 1, 5}) {
      Shape shape{3, 2, 4};
      shape[axis] = extent;
      values.push_back(random_tensor(shape, std::uint64_t(extent)));
      parts.push_back(tape.constant(values.back()));
    }
    const Tensor y = evaluate(concat(parts, axis - 3));
    BOOST_TEST(y.shape()[axis] == 8);
    for_each_place(y.shape(), [&](std::int64_t p, Shape at) {
      std::size_t part = 0;
      for (; at[axis] >= values[part].shape()[axis]; ++part) at[axis] -= values[part].shape()[axis];
      const Shape strides = strides_of(values[part].shape());
      BOOST_TEST(y.at(p) == values[part].at(at[0] * strides[0] + at[1] * strides[1] + at[2]));
    });
  }
  const Var x = tape.constant(vector({1, 2}));
  BOOST_TEST(to_string(evaluate(stack({x, x * 2, x * 3}, 0))) == "f64 [3, 2] {1, 2, 2, 4, 3, 6}");
  BOOST_TEST(to_string(evaluate(stack({x, x * 2, x * 3}, -1))) == "f64 [2, 3] {1, 2, 3, 2, 4, 6}");
  BOOST_TEST(to_string(evaluate(stack({x}, 1))) == "f64 [2, 1] {1, 2}");
  const Var scalar = tape.constant(1.0, DType::f64);
  BOOST_TEST(to_string(evaluate(stack({scalar, scalar * 2}, 0))) == "f64 [2] {1, 2}");
}

BOOST_AUTO_TEST_CASE(mistakes_in_putting_together) {
  Tape tape;
  const Var a = tape.input("a", {DType::f32, {2, 3}});
  const Var b = tape.input("b", {DType::f32, {2, 4}});
  const int line = __LINE__ + 1;
  BOOST_TEST(thrown([&] {
               concat({a, b}, 0);
             }) == text("slice.cpp:", line, ": concat: extents differ along axis 1: a [2, 3] (slice.cpp:",
                        line - 3, ") · b [2, 4] (slice.cpp:", line - 2, ")"));
  BOOST_CHECK_THROW(concat({a, b}, 2), Error);
  BOOST_CHECK_THROW(concat({a, reshape(b, {8})}, 0), Error);
  BOOST_CHECK_THROW(concat({a, cast(a, DType::f64)}, 0), Error);
  BOOST_CHECK_THROW(concat(std::vector<Var>(), 0), Error);
  BOOST_CHECK_THROW(concat({reshape(tapestry::slice(a, {{0, 1}, {0, 1}}), {})}, 0), Error);
  BOOST_CHECK_THROW(stack({a, b}, 0), Error);
  BOOST_CHECK_THROW(stack({a, a}, 3), Error);
  BOOST_CHECK_THROW(stack({a, cast(a, DType::f64)}, 0), Error);
}

BOOST_AUTO_TEST_CASE(derivatives_of_first_and_second_order) {
  const auto error = [](const std::vector<Tensor>& at, const CheckedFunction& f) {
    return derivative_error([&](std::span<const Var> v) { return f(v) * f(v); }, at);
  };
  using Vars = std::span<const Var>;
  const Tensor x = random_tensor({5, 3}), y = random_tensor({5, 3}, 2);
  BOOST_TEST(error({x}, [](Vars v) { return tapestry::slice(v[0], {{1, 5, 2}, {-2}}); }) < 1e-7);
  BOOST_TEST(error({x}, [](Vars v) { return tapestry::slice(v[0], {{2, 2}}); }) < 1e-7);
  BOOST_TEST(error({x}, [](Vars v) { return pad(v[0], {1, 0}, {2, 1}, 0.5, {0, 2}); }) < 1e-7);
  BOOST_TEST(error({x}, [](Vars v) { return pad_reflect(v[0], {2, 1}, {4, 2}); }) < 1e-7);
  BOOST_TEST(error({x, y}, [](Vars v) { return concat({v[0], v[1], v[0]}, 1); }) < 1e-7);
  BOOST_TEST(error({x, y}, [](Vars v) { return stack({v[0], v[1], v[0]}, 1); }) < 1e-7);
  BOOST_TEST(error({random_tensor({0, 3})}, [](Vars v) { return pad(v[0], {1, 0}, {0, 1}, 2); }) < 1e-7);
}

BOOST_AUTO_TEST_CASE(simpler_forms) {
  const auto simple = [](const std::function<Var(Var)>& f, const Shape& x = {2, 3}) {
    return simplified([&](Var v, Var) { return f(v); }, {DType::f64, x});
  };
  BOOST_TEST(simple([](Var x) { return tapestry::slice(x, {{0, 2}, {-3}}); }) == "x");
  BOOST_TEST(simple([](Var x) { return pad(x, {0, 0}, {0, 0}); }) == "x");
  BOOST_TEST(simple([](Var x) { return pad(x, {0, 0}, {0, 0}, 0, {5, 0}); }, {1, 3}) == "x");
  BOOST_TEST(simple([](Var x) { return concat({x}, 1); }) == "x");
  // Nothing to gain.
  BOOST_TEST(simple([](Var x) { return concat({x, x}, 1); }) == "concat(x, x){axis=1}");
  BOOST_TEST(simple([](Var x) { return tapestry::slice(x, 1, 0, 2); }) ==
             "slice(x){start=[0, 0], stop=[2, 2], step=[1, 1]}");
  BOOST_TEST(simple([](Var x) {
               return pad(x, {0, 0}, {0, 1});
             }) == "pad(x){lo=[0, 0], hi=[0, 1], interior=[0, 0], value=0}");
}

BOOST_AUTO_TEST_SUITE_END()
