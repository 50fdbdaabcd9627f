#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/movement.hpp>
#include <tapestry/tests/support/restore_threads.hpp>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

// 0, 1, 2, ... so that every element is known by its value.
Tensor counted(const Shape& shape, DType dtype = DType::i32) {
  std::vector<std::int64_t> values(std::size_t(shape.elements()));
  std::iota(values.begin(), values.end(), 0);
  return Tensor::from(values, shape).to(dtype);
}

// Visits the indices of a shape in row-major order.
template <class F>
void each_index(const Shape& shape, const F& visit) {
  Shape index = Shape::filled(shape.rank(), 0);
  for (std::int64_t n = shape.elements(); n > 0; --n) {
    visit(index);
    for (int axis = shape.rank() - 1; axis >= 0 && ++index[axis] == shape[axis]; --axis) index[axis] = 0;
  }
}

std::int64_t position(const Shape& shape, const Shape& index) {
  std::int64_t at = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) at = at * shape[axis] + index[axis];
  return at;
}

// y[i] = x[source(i)], one element at a time.
template <class F>
Tensor by_the_book(const Tensor& x, const Shape& shape, const F& source) {
  std::vector<std::int64_t> values;
  each_index(shape, [&](const Shape& index) {
    values.push_back(std::int64_t(x.at(position(x.shape(), source(index)))));
  });
  return Tensor::from(values, shape).to(x.dtype());
}

Tensor permuted(const Tensor& x, const Shape& axes) {
  Shape shape = axes;
  for (int axis = 0; axis < axes.rank(); ++axis) shape[axis] = x.shape()[int(axes[axis])];
  Tensor y(x.dtype(), shape);
  kernels::permute(x.view(), axes, y.mutable_view());
  return y;
}

Tensor sliced(const Tensor& x, const Shape& starts, const Shape& steps, const Shape& shape) {
  Tensor y(x.dtype(), shape);
  kernels::slice(x.view(), starts, steps, y.mutable_view());
  return y;
}

Tensor padded(const Tensor& x, std::int32_t value, const Shape& low, const Shape& interior,
              const Shape& shape) {
  Tensor y(x.dtype(), shape);
  kernels::pad(x.view(), &value, low, interior, y.mutable_view());
  return y;
}

Tensor joined(const std::vector<Tensor>& parts, int axis, const Shape& shape) {
  std::vector<ConstView> views;
  for (const Tensor& part : parts) views.push_back(part.view());
  Tensor y(parts[0].dtype(), shape);
  kernels::concat(views, axis, y.mutable_view());
  return y;
}

Tensor broadcasted(const Tensor& x, const Shape& shape) {
  Tensor y(x.dtype(), shape);
  kernels::broadcast_to(x.view(), y.mutable_view());
  return y;
}

Tensor ints(std::initializer_list<std::int32_t> values, const Shape& shape) {
  return Tensor::from(values, shape);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(movement, test::RestoreThreads)

BOOST_AUTO_TEST_CASE(every_permutation_of_every_kind_of_shape) {
  for (const Shape& shape : {Shape{},
                             {5},
                             {3, 4},
                             {1, 7},
                             {33, 70},
                             {0, 3},
                             {2, 3, 4},
                             {9, 1, 40},
                             {17, 20, 33},
                             {2, 3, 4, 5},
                             {2, 16, 1, 9},
                             {3, 9, 10, 11}}) {
    const Tensor x = counted(shape);
    std::vector<std::int64_t> order(shape.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      const Shape axes{std::span<const std::int64_t>(order)};
      Shape permuted_shape = axes;
      for (int axis = 0; axis < axes.rank(); ++axis) permuted_shape[axis] = shape[int(axes[axis])];
      const Tensor expected = by_the_book(x, permuted_shape, [&](const Shape& index) {
        Shape from = index;
        for (int axis = 0; axis < axes.rank(); ++axis) from[int(axes[axis])] = index[axis];
        return from;
      });
      BOOST_TEST_CONTEXT(shape << " by " << axes) { BOOST_TEST(identical(permuted(x, axes), expected)); }
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

BOOST_AUTO_TEST_CASE(elements_of_every_size_move) {
  for (const DType dtype : {DType::u8, DType::bf16, DType::f32, DType::f64, DType::i64, DType::boolean}) {
    const Tensor x = counted({11, 23}, DType::i64).to(dtype);
    const Tensor y = permuted(x, {1, 0});
    for (std::int64_t i = 0; i < 11; ++i) {
      for (std::int64_t j = 0; j < 23; ++j) BOOST_TEST_REQUIRE(y.at(j * 11 + i) == x.at(i * 23 + j));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_largest_rank) {
  const Tensor x = counted({2, 3, 1, 2, 3, 2, 2, 3});
  const Tensor y = permuted(x, {7, 1, 2, 5, 4, 3, 6, 0});
  BOOST_TEST(identical(permuted(y, {7, 1, 2, 5, 4, 3, 6, 0}), x));
  BOOST_TEST(!identical(y.reshaped(x.shape()), x));
}

BOOST_AUTO_TEST_CASE(large_ones_are_shared_and_no_number_of_threads_changes_them) {
  struct Case {
    Shape shape, axes;
  };
  for (const auto& [shape, axes] : {Case{{1000, 700}, {1, 0}},
                                    {{1 << 20}, {0}},
                                    {{3, 300, 500}, {2, 0, 1}},
                                    {{100'000, 3}, {1, 0}},
                                    {{3, 100'000}, {1, 0}},
                                    {{40, 50, 60, 4}, {2, 1, 0, 3}}}) {
    const Tensor x = counted(shape);
    Shape to = axes;
    for (int axis = 0; axis < axes.rank(); ++axis) to[axis] = shape[int(axes[axis])];
    const Tensor expected = by_the_book(x, to, [&](const Shape& index) {
      Shape from = index;
      for (int axis = 0; axis < index.rank(); ++axis) from[int(axes[axis])] = index[axis];
      return from;
    });
    for (const int threads : {1, 2, 3, 5, 8}) {
      set_thread_count(threads);
      BOOST_TEST_CONTEXT(shape << " " << threads) { BOOST_TEST(identical(permuted(x, axes), expected)); }
    }
  }
}

BOOST_AUTO_TEST_CASE(slices_step_in_both_directions) {
  const Tensor x = counted({7, 10, 5});
  struct Case {
    Shape starts, steps, shape;
  };
  for (const auto& [starts, steps, shape] : {Case{{0, 0, 0}, {1, 1, 1}, {7, 10, 5}},
                                             {{2, 3, 1}, {1, 1, 1}, {4, 5, 3}},
                                             {{6, 9, 4}, {-1, -1, -1}, {7, 10, 5}},
                                             {{0, 9, 0}, {2, -3, 1}, {4, 4, 5}},
                                             {{3, 0, 4}, {1, 1, -2}, {1, 10, 3}},
                                             {{6, 9, 4}, {1, 1, 1}, {1, 1, 1}},
                                             {{0, 0, 0}, {1, 4, 1}, {7, 0, 5}},
                                             {{5, 5, 0}, {1, 0, 2}, {2, 3, 3}}}) {
    const Tensor expected = by_the_book(x, shape, [&](Shape index) {
      for (int axis = 0; axis < 3; ++axis) index[axis] = starts[axis] + steps[axis] * index[axis];
      return index;
    });
    BOOST_TEST_CONTEXT(starts << steps << shape) {
      BOOST_TEST(identical(sliced(x, starts, steps, shape), expected));
    }
  }
  const Tensor flipped = sliced(counted({300'000}), {299'999}, {-1}, {300'000});
  for (std::int64_t i = 0; i < 300'000; ++i) BOOST_TEST_REQUIRE(flipped.at(i) == 299'999 - i);
}

BOOST_AUTO_TEST_CASE(padding_frames_and_spreads) {
  BOOST_TEST(identical(padded(ints({1, 2, 3}, {3}), 9, {2}, {0}, {6}), ints({9, 9, 1, 2, 3, 9}, {6})));
  BOOST_TEST(
      identical(padded(ints({1, 2, 3}, {3}), 9, {1}, {2}, {9}), ints({9, 1, 9, 9, 2, 9, 9, 3, 9}, {9})));
  BOOST_TEST(identical(padded(ints({1, 2, 3, 4}, {2, 2}), 0, {0, 1}, {1, 0}, {3, 4}),
                       ints({0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0}, {3, 4})));
  BOOST_TEST(
      identical(padded(ints({}, {0, 2}), 7, {1, 0}, {3, 1}, {2, 4}), ints({7, 7, 7, 7, 7, 7, 7, 7}, {2, 4})));
  BOOST_TEST(identical(padded(ints({5}, {}), 7, {}, {}, {}), ints({5}, {})));
  // What slice takes out, pad puts back.
  const Tensor x = counted({8, 9});
  const Tensor part = sliced(x, {1, 2}, {3, 2}, {3, 4});
  const Tensor back = padded(part, -1, {1, 2}, {2, 1}, {8, 9});
  BOOST_TEST(identical(sliced(back, {1, 2}, {3, 2}, {3, 4}), part));
  BOOST_TEST(back.at(0) == -1);
}

BOOST_AUTO_TEST_CASE(concat_joins_along_any_axis) {
  BOOST_TEST(identical(joined({ints({1, 2}, {1, 2}), ints({3, 4, 5, 6}, {2, 2})}, 0, {3, 2}),
                       ints({1, 2, 3, 4, 5, 6}, {3, 2})));
  BOOST_TEST(
      identical(joined({ints({1, 4}, {2, 1}), ints({}, {2, 0}), ints({2, 3, 5, 6}, {2, 2})}, 1, {2, 3}),
                ints({1, 2, 3, 4, 5, 6}, {2, 3})));
  BOOST_TEST(identical(joined({ints({1, 2}, {2})}, 0, {2}), ints({1, 2}, {2})));
}

BOOST_AUTO_TEST_CASE(broadcasting_repeats) {
  struct Case {
    Shape from, to;
  };
  for (const auto& [from, to] : {Case{{}, {}},
                                 {{}, {3, 4}},
                                 {{4}, {3, 4}},
                                 {{3, 1}, {3, 4}},
                                 {{1, 4}, {3, 4}},
                                 {{2, 1, 3}, {2, 5, 3}},
                                 {{1, 5, 1}, {4, 2, 5, 3}},
                                 {{1}, {0}},
                                 {{500}, {1000, 500}},
                                 {{1000, 1}, {1000, 500}}}) {
    const Tensor x = counted(from);
    const Tensor expected = by_the_book(x, to, [&](const Shape& index) {
      Shape at = from;
      for (int axis = 0; axis < from.rank(); ++axis) {
        at[axis] = from[axis] == 1 ? 0 : index[axis + to.rank() - from.rank()];
      }
      return at;
    });
    BOOST_TEST_CONTEXT(from << " to " << to) { BOOST_TEST(identical(broadcasted(x, to), expected)); }
  }
}

BOOST_AUTO_TEST_CASE(copy_and_fill) {
  const Tensor x = counted({4, 6});
  Tensor y(DType::i32, {3, 8});
  kernels::copy(x.view(), y.mutable_view());
  BOOST_TEST(identical(y, x.reshaped({3, 8})));
  const std::int32_t seven = 7;
  kernels::fill(y.mutable_view(), &seven);
  BOOST_TEST(identical(y, Tensor::full<std::int32_t>({3, 8}, 7)));
}

BOOST_AUTO_TEST_CASE(mistakes_are_refused) {
  const auto says = [](const std::string& wanted) {
    return [=](const Error& e) { return e.what() == wanted; };
  };
  const Tensor x = counted({3, 4});
  BOOST_CHECK_EXCEPTION(sliced(x, {0, 2}, {1, 1}, {3, 3}), Error,
                        says("slice: positions 2 to 4 of axis 1 are not all within [3, 4]"));
  BOOST_CHECK_THROW(sliced(x, {0, 2}, {1, -1}, {3, 4}), Error);
  BOOST_CHECK_EXCEPTION(padded(x, 0, {1, 0}, {0, 1}, {4, 6}), Error,
                        says("pad: [3, 4] after [1, 0] and spread by [0, 1] doesn't fit [4, 6]"));
  BOOST_CHECK_THROW(padded(x, 0, {-1, 0}, {0, 0}, {4, 6}), Error);
  BOOST_CHECK_THROW(joined({x, x}, 0, {5, 4}), Error);
  BOOST_CHECK_THROW(joined({x, counted({3, 5})}, 0, {6, 4}), Error);
  BOOST_CHECK_THROW(broadcasted(x, {3, 5}), Error);
  BOOST_CHECK_THROW(broadcasted(x, {4}), Error);
  Tensor y(DType::i32, {3, 4});
  BOOST_CHECK_THROW(kernels::permute(x.view(), {1, 0}, y.mutable_view()), Error);
  BOOST_CHECK_THROW(kernels::permute(x.view(), {0}, y.mutable_view()), Error);
  Tensor other(DType::f32, {3, 4});
  BOOST_CHECK_THROW(kernels::copy(x.view(), other.mutable_view()), Error);
}

BOOST_AUTO_TEST_SUITE_END()
