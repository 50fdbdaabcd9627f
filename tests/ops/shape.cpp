#include "../support/graphs.hpp"
#include "../support/random_tensor.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

Tensor counted(const Shape& shape) {
  return Tensor::linspace(0, double(std::max<std::int64_t>(shape.elements() - 1, 0)), shape);
}

/// The elements of `x` at positions given by a function of the result's.
template <class Position>
Tensor gathered(const Tensor& x, const Shape& shape, const Position& position) {
  Tensor y(DType::f64, shape);
  const Shape strides = strides_of(x.shape());
  Shape at = Shape::filled(shape.rank(), 0);
  for (double& value : y.mutable_values<double>()) {
    const Shape from = position(at);
    std::int64_t offset = 0;
    for (int i = 0; i < from.rank(); ++i) offset += from[i] * strides[i];
    value = x.at(offset);
    for (int i = shape.rank() - 1; i >= 0 && ++at[i] == shape[i]; --i) at[i] = 0;
  }
  return y;
}

double derivative_error(const CheckedFunction& f, const std::vector<Tensor>& inputs) {
  return check_gradients(f, inputs, {.order = 2}).error;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shape)

BOOST_AUTO_TEST_CASE(iota_counts_along_an_axis) {
  Tape tape;
  BOOST_TEST(to_string(evaluate(iota(tape, DType::f64, {2, 3}, 1))) == "f64 [2, 3] {0, 1, 2, 0, 1, 2}");
  BOOST_TEST(to_string(evaluate(iota(tape, DType::f32, {2, 3}, 0))) == "f32 [2, 3] {0, 0, 0, 1, 1, 1}");
  BOOST_TEST(to_string(evaluate(iota(tape, DType::i64, {4}, -1))) == "i64 [4] {0, 1, 2, 3}");
  BOOST_TEST(evaluate(iota(tape, DType::i32, {0})).elements() == 0);
  BOOST_CHECK_THROW(iota(tape, DType::f32, {}, 0), Error);
  BOOST_CHECK_THROW(iota(tape, DType::boolean, {2}), Error);
  const int line = __LINE__ + 1;
  const auto bad = [&] { iota(tape, DType::f32, {2, 3}, 2); };
  BOOST_TEST(thrown(bad) == text("shape.cpp:", line, ": iota: there is no axis 2"));
}

BOOST_AUTO_TEST_CASE(reshape_works_out_one_extent) {
  Tape tape;
  const Var x = tape.constant(counted({2, 3, 4}));
  BOOST_TEST(reshape(x, {4, -1}).shape() == (Shape{4, 6}));
  BOOST_TEST(identical(evaluate(reshape(x, {-1})), counted({24})));
  BOOST_TEST(reshape(tape.constant(counted({0, 3})), {3, -1}).shape() == (Shape{3, 0}));
  BOOST_TEST(reshape(tape.constant(counted({1})), {}).shape() == Shape{});
  const int line = __LINE__ + 1;
  BOOST_TEST(thrown([&] {
               reshape(x, {5, -1});
             }) == text("shape.cpp:", line,
                        ": reshape: can't become [5, -1]: constant [2, 3, 4] (shape.cpp:", line - 6, ")"));
  BOOST_CHECK_THROW(reshape(x, {-1, -1}), Error);
  BOOST_CHECK_THROW(reshape(x, {-2, -12}), Error);
  BOOST_CHECK_THROW(reshape(x, {0, -1}), Error);
  BOOST_CHECK_THROW(reshape(x, {23}), Error);
}

BOOST_AUTO_TEST_CASE(axes_of_extent_1_come_and_go) {
  Tape tape;
  const Var x = tape.constant(counted({1, 2, 1, 3}));
  BOOST_TEST(squeeze(x).shape() == (Shape{2, 3}));
  BOOST_TEST(squeeze(x, 0).shape() == (Shape{2, 1, 3}));
  BOOST_TEST(squeeze(x, {0, -2}).shape() == (Shape{2, 3}));
  BOOST_TEST(expand_dims(x, {0}).shape() == (Shape{1, 1, 2, 1, 3}));
  BOOST_TEST(expand_dims(squeeze(x), {0, -1}).shape() == (Shape{1, 2, 3, 1}));
  BOOST_TEST(expand_dims(squeeze(x), {-1, 1}).shape() == (Shape{2, 1, 3, 1}));
  BOOST_CHECK_THROW(squeeze(x, 1), Error);
  BOOST_CHECK_THROW(squeeze(x, 4), Error);
  BOOST_CHECK_THROW(expand_dims(x, {6}), Error);
  BOOST_CHECK_THROW(expand_dims(x, {1, 1}), Error);
  BOOST_CHECK_THROW(expand_dims(x, {0, 1, 2, 3, 4}), Error);
}

BOOST_AUTO_TEST_CASE(permute_moves_axes) {
  for (const Shape& shape :
       {Shape{2, 3, 4}, Shape{1, 3, 1}, Shape{0, 3, 2}, Shape{5, 1, 7}, Shape{33, 2, 65}}) {
    for (const Shape& order : {Shape{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
      Tape tape;
      const Tensor x = random_tensor(shape);
      const Tensor y = evaluate(permute(tape.constant(x), order));
      const Shape expected{shape[int(order[0])], shape[int(order[1])], shape[int(order[2])]};
      BOOST_TEST(identical(y, gathered(x, expected,
                                       [&](const Shape& at) {
                                         Shape from = at;
                                         for (int i = 0; i < 3; ++i) from[int(order[i])] = at[i];
                                         return from;
                                       })),
                 shape << " by " << order);
    }
  }
  Tape tape;
  BOOST_TEST(permute(tape.constant(counted({2, 3, 4})), {-1, 0, 1}).shape() == (Shape{4, 2, 3}));
  BOOST_TEST(permute(tape.constant(1.0, DType::f64), {}).shape() == Shape{});
}

BOOST_AUTO_TEST_CASE(every_dtype_moves) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i32, DType::i64, DType::u8, DType::boolean}) {
    Tape tape;
    const Tensor x = counted({2, 3}).to(dtype);
    const Tensor y = evaluate(transpose(tape.constant(x)));
    BOOST_TEST(y.type() == (Type{dtype, {3, 2}}));
    for (int i = 0; i < 6; ++i) BOOST_TEST(y.at(i) == x.at(i % 2 * 3 + i / 2), name_of(dtype));
    const Tensor z = evaluate(flip(tape.constant(x), 1));
    for (int i = 0; i < 6; ++i) BOOST_TEST(z.at(i) == x.at(i / 3 * 3 + 2 - i % 3), name_of(dtype));
  }
}

BOOST_AUTO_TEST_CASE(permute_refuses_what_is_no_order) {
  Tape tape;
  const Var x = tape.constant(counted({2, 3}));
  const int line = __LINE__ + 1;
  BOOST_TEST(thrown([&] {
               permute(x, {0, 0});
             }) == text("shape.cpp:", line,
                        ": permute: axis 0 is given twice: constant [2, 3] (shape.cpp:", line - 2, ")"));
  BOOST_CHECK_THROW(permute(x, {0}), Error);
  BOOST_CHECK_THROW(permute(x, {0, 2}), Error);
  BOOST_CHECK_THROW(permute(x, {0, 1, 1}), Error);
  BOOST_CHECK_THROW(transpose(reshape(x, {6})), Error);
}

BOOST_AUTO_TEST_CASE(flip_reverses_axes) {
  for (const Shape& shape : {Shape{2, 3, 4}, Shape{1, 5, 1}, Shape{2, 0, 3}}) {
    for (const Axes& axes : {Axes(0), Axes(-1), Axes{0, 2}, Axes(), Axes(std::vector<int>{})}) {
      Tape tape;
      const Tensor x = random_tensor(shape);
      std::vector<int> list = axes.list();
      if (axes.all()) list = {0, 1, 2};
      BOOST_TEST(identical(evaluate(flip(tape.constant(x), axes)), gathered(x, shape, [&](Shape at) {
                             for (int axis : list) {
                               axis = axis < 0 ? axis + 3 : axis;
                               at[axis] = shape[axis] - 1 - at[axis];
                             }
                             return at;
                           })));
    }
  }
  Tape tape;
  const Var x = tape.constant(counted({2}));
  BOOST_CHECK_THROW(flip(x, 1), Error);
  BOOST_CHECK_THROW(flip(x, {0, -1}), Error);
}

BOOST_AUTO_TEST_CASE(broadcast_to_copies) {
  Tape tape;
  const Var x = tape.constant(counted({3}));
  BOOST_TEST(to_string(evaluate(broadcast_to(x, {2, 3}))) == "f64 [2, 3] {0, 1, 2, 0, 1, 2}");
  BOOST_TEST(evaluate(broadcast_to(x, {0, 3})).elements() == 0);
  BOOST_CHECK_THROW(broadcast_to(x, {3, 2}), Error);
  BOOST_CHECK_THROW(broadcast_to(reshape(x, {1, 3}), {3}), Error);
}

BOOST_AUTO_TEST_CASE(derivatives_of_first_and_second_order) {
  const Tensor x = random_tensor({2, 1, 3}), row = random_tensor({3});
  const auto error = [](const Tensor& at, const std::function<Var(const Var&)>& f) {
    // Squared, so that there is a second derivative.
    return derivative_error([&](std::span<const Var> v) { return f(v[0]) * f(v[0]); }, {at});
  };
  BOOST_TEST(error(x, [](const Var& v) { return reshape(v, {3, -1}); }) < 1e-7);
  BOOST_TEST(error(x, [](const Var& v) { return permute(v, {2, 0, 1}); }) < 1e-7);
  BOOST_TEST(error(x, [](const Var& v) { return transpose(v); }) < 1e-7);
  BOOST_TEST(error(x, [](const Var& v) { return flip(v, {0, 2}); }) < 1e-7);
  BOOST_TEST(error(row, [](const Var& v) { return broadcast_to(v, {2, 2, 3}); }) < 1e-7);
  BOOST_TEST(error(x, [](const Var& v) { return broadcast_to(v, {2, 4, 3}); }) < 1e-7);
}

BOOST_AUTO_TEST_CASE(simpler_forms) {
  const auto simple = [](const std::function<Var(Var)>& f, const Shape& x = {2, 3, 4}) {
    return simplified([&](Var v, Var) { return f(v); }, {DType::f64, x});
  };
  BOOST_TEST(simple([](Var x) { return permute(x, {0, 1, 2}); }) == "x");
  BOOST_TEST(simple([](Var x) {
               return permute(permute(x, {1, 2, 0}), {1, 0, 2});
             }) == "permute(x){order=[2, 1, 0]}");
  BOOST_TEST(simple([](Var x) { return permute(permute(x, {1, 2, 0}), {2, 0, 1}); }) == "x");
  BOOST_TEST(simple([](Var x) { return permute(x, {1, 0, 2}); }, {2, 1, 4}) == "reshape(x){shape=[1, 2, 4]}");
  BOOST_TEST(simple([](Var x) { return reshape(reshape(x, {24}), {4, 6}); }) == "reshape(x){shape=[4, 6]}");
  BOOST_TEST(simple([](Var x) { return reshape(reshape(x, {24}), {2, 3, 4}); }) == "x");
  BOOST_TEST(simple([](Var x) { return squeeze(expand_dims(x, {0, -1})); }) == "x");
  BOOST_TEST(simple([](Var x) { return flip(flip(x, {0, 1}), {1, 2}); }) == "flip(x){axes=[0, 2]}");
  BOOST_TEST(simple([](Var x) { return flip(flip(x, 1), 1); }) == "x");
  BOOST_TEST(simple([](Var x) { return flip(x); }, {1, 3}) == "flip(x){axes=[1]}");
  BOOST_TEST(simple([](Var x) { return broadcast_to(x, {2, 3, 4}); }) == "x");
  // Nothing to gain.
  BOOST_TEST(simple([](Var x) { return permute(x, {1, 0, 2}); }) == "permute(x){order=[1, 0, 2]}");
  BOOST_TEST(simple([](Var x) { return flip(x, 1); }) == "flip(x){axes=[1]}");
}

BOOST_AUTO_TEST_SUITE_END()
