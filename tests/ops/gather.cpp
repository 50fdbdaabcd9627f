#include <tapestry/core/random.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/gather.hpp>
#include <tapestry/tests/support/restore_threads.hpp>

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

Tensor random_tensor(const Shape& shape, DType dtype, std::uint64_t stream) {
  Random random(3, stream);
  std::vector<double> values(std::size_t(shape.elements()));
  for (double& value : values) value = random.uniform() * 200 - 100;
  return Tensor::from(values, shape).to(dtype);
}

Tensor random_indices(std::int64_t count, std::int64_t extent, DType dtype) {
  Random random(4);
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  for (std::int64_t& value : values) value = random.below(extent);
  return Tensor::from(values, {count}).to(dtype);
}

Shape with_extent(Shape shape, int axis, std::int64_t extent) {
  shape[axis] = extent;
  return shape;
}

// Flat positions of [outer, row, inner].
struct View3 {
  View3(const Shape& shape, int axis) : rows(shape[axis]) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
  std::int64_t at(std::int64_t o, std::int64_t row, std::int64_t i) const {
    return (o * rows + row) * inner + i;
  }
  std::int64_t outer = 1, rows = 1, inner = 1;
};

Tensor taken(const Tensor& x, int axis, const Tensor& indices) {
  Tensor y(x.dtype(), with_extent(x.shape(), axis, indices.elements()));
  kernels::take(x.view(), axis, indices.view(), y.mutable_view());
  return y;
}

Tensor scattered(const Tensor& base, int axis, const Tensor& indices, const Tensor& updates) {
  Tensor y(base.type());
  kernels::scatter_add(base.view(), axis, indices.view(), updates.view(), y.mutable_view());
  return y;
}

template <class T>
Tensor scattered_by_the_book(const Tensor& base, int axis, const Tensor& indices, const Tensor& updates) {
  Tensor y = base;
  const View3 to(base.shape(), axis), from(updates.shape(), axis);
  const auto sums = y.mutable_values<T>();
  for (std::int64_t o = 0; o < to.outer; ++o) {
    for (std::int64_t j = 0; j < from.rows; ++j) {
      for (std::int64_t i = 0; i < to.inner; ++i) {
        T& sum = sums[std::size_t(to.at(o, std::int64_t(indices.at(j)), i))];
        const T update = updates.values<T>()[std::size_t(from.at(o, j, i))];
        if constexpr (std::is_same_v<T, bf16>) {
          sum = bf16(float(sum) + float(update));
        } else {
          sum = T(sum + update);
        }
      }
    }
  }
  return y;
}

struct Case {
  Shape shape;
  int axis;
  std::int64_t count;
};

const std::vector<Case> cases{{{10}, 0, 7},          {{4, 3}, 0, 9},          {{4, 3}, 1, 9},
                              {{1, 1, 1}, 1, 3},     {{2, 5, 3}, 1, 4},       {{3, 0, 2}, 1, 0},
                              {{3, 4, 0}, 1, 5},     {{3, 4}, 1, 0},          {{5000, 33}, 0, 900},
                              {{600, 50, 8}, 1, 30}, {{20, 400, 70}, 1, 500}, {{3000, 10}, 1, 1}};

auto says(const std::string& wanted) {
  return [=](const Error& e) { return e.what() == wanted; };
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(gather, test::RestoreThreads)

BOOST_AUTO_TEST_CASE(take_picks_along_any_axis) {
  for (const auto& [shape, axis, count] : cases) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::u8}) {
      const Tensor x = random_tensor(shape, DType::f64, 1).to(dtype);
      const Tensor indices = random_indices(count, std::max<std::int64_t>(shape[axis], 1),
                                            dtype == DType::f64 ? DType::i64 : DType::i32);
      for (const int threads : {1, 3}) {
        set_thread_count(threads);
        const Tensor y = taken(x, axis, indices);
        const View3 from(x.shape(), axis), to(y.shape(), axis);
        bool same = true;
        for (std::int64_t o = 0; o < to.outer; ++o) {
          for (std::int64_t j = 0; j < to.rows; ++j) {
            for (std::int64_t i = 0; i < to.inner; ++i) {
              same &= y.at(to.at(o, j, i)) == x.at(from.at(o, std::int64_t(indices.at(j)), i));
            }
          }
        }
        BOOST_TEST(same, shape << " along " << axis);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(scatter_add_adds_in_order_with_any_number_of_threads) {
  for (const auto& [shape, axis, count] : cases) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i32, DType::i64}) {
      const Tensor base = random_tensor(shape, dtype, 1);
      const Tensor updates = random_tensor(with_extent(shape, axis, count), dtype, 2);
      const Tensor indices = random_indices(count, std::max<std::int64_t>(shape[axis], 1), DType::i32);
      const Tensor expected = visit_dtype(dtype, [&](auto zero) {
        return scattered_by_the_book<decltype(zero)>(base, axis, indices, updates);
      });
      for (const int threads : {1, 2, 3, 5, 8}) {
        set_thread_count(threads);
        BOOST_TEST(identical(scattered(base, axis, indices, updates), expected),
                   shape << " along " << axis << " " << name_of(dtype));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_base_may_be_added_to_in_place) {
  Tensor y = Tensor::from({1.0f, 2.0f, 3.0f}, {3});
  const Tensor indices = Tensor::from<std::int64_t>({2, 2, 0}, {3}),
               updates = Tensor::from({10.0f, 20.0f, 5.0f}, {3});
  const View view = y.mutable_view();
  kernels::scatter_add(view, 0, indices.view(), updates.view(), view);
  BOOST_TEST(identical(y, Tensor::from({6.0f, 2.0f, 33.0f}, {3})));
}

BOOST_AUTO_TEST_CASE(a_large_base_is_added_to_once) {
  const Tensor base = random_tensor({5000, 33}, DType::f32, 1),
               updates = random_tensor({900, 33}, DType::f32, 2);
  const Tensor indices = random_indices(900, 5000, DType::i32);
  Tensor y = base;
  const View view = y.mutable_view();
  kernels::scatter_add(view, 0, indices.view(), updates.view(), view);
  BOOST_TEST(identical(y, scattered_by_the_book<float>(base, 0, indices, updates)));
}

BOOST_AUTO_TEST_CASE(an_index_outside_is_named_and_nothing_is_written) {
  const Tensor x = random_tensor({10, 2}, DType::f32, 1);
  const Tensor high = Tensor::from<std::int32_t>({0, 9, 3, 12, 77}, {5});
  const Tensor low = Tensor::from<std::int64_t>({0, -1}, {2});
  BOOST_CHECK_EXCEPTION(taken(x, 0, high), Error, says("take: index 12 at position 3 is outside [0, 10)"));
  BOOST_CHECK_EXCEPTION(taken(x, 0, low), Error, says("take: index -1 at position 1 is outside [0, 10)"));
  BOOST_CHECK_EXCEPTION(taken(x, 1, Tensor::from<std::int64_t>({2}, {1})), Error,
                        says("take: index 2 at position 0 is outside [0, 2)"));
  Tensor y(x.type());
  const Tensor updates(DType::f32, {5, 2});
  BOOST_CHECK_EXCEPTION(kernels::scatter_add(x.view(), 0, high.view(), updates.view(), y.mutable_view()),
                        Error, says("scatter_add: index 12 at position 3 is outside [0, 10)"));
  BOOST_TEST(identical(y, Tensor(x.type())));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const Tensor x = random_tensor({4, 2}, DType::f32, 1), indices = random_indices(3, 4, DType::i32);
  Tensor y(DType::f32, {2, 2}), other(DType::f64, {3, 2});
  BOOST_CHECK_THROW(kernels::take(x.view(), 0, indices.view(), y.mutable_view()), Error);
  BOOST_CHECK_THROW(kernels::take(x.view(), 0, indices.view(), other.mutable_view()), Error);
  BOOST_CHECK_THROW(taken(x, 2, indices), Error);
  BOOST_CHECK_THROW(taken(x, 0, indices.to(DType::f32)), Error);
  BOOST_CHECK_THROW(scattered(x, 0, indices, random_tensor({2, 2}, DType::f32, 1)), Error);
  BOOST_CHECK_THROW(scattered(x.to(DType::boolean), 0, indices, Tensor(DType::boolean, {3, 2})), Error);
}

BOOST_AUTO_TEST_SUITE_END()
