// Squared deviations from the mean, gathered in one pass: as accurate as in two, wherever the data lie.
#include "../support/loop_case.hpp"
#include "../support/restore_threads.hpp"
#include "../support/simd_targets.hpp"

#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

/// Are the values read where they are, or made by an instruction first?
enum class Source { memory, instruction };

template <class T>
Loop moments_loop(std::int64_t rows, std::int64_t columns, bool of_columns, Source source) {
  const Shape kept = of_columns ? Shape{0, 1} : Shape{1, 0};
  Loop loop{.extents = {rows, columns},
            .lane = std::is_same_v<T, float> ? Lane::f32 : Lane::f64,
            .inputs = {{dtype_of<T>, {columns, 1}}},
            .code = {{Code::sub, Operand::input(0), Operand::constant(0)}}};
  const Operand value = source == Source::memory ? Operand::input(0) : Operand::result(0);
  if (source == Source::memory) loop.code.clear();
  loop.outputs = {{value, dtype_of<T>, Reduce::sum, kept},
                  {value, dtype_of<T>, Reduce::squared_deviations, kept}};
  return loop;
}

template <class T>
struct Moments {
  std::vector<T> squares, sums;
};

/// Of the columns of `x`, or of its rows.
template <class T>
Moments<T> moments(const std::vector<T>& x, std::int64_t rows, bool of_columns,
                   Source source = Source::memory) {
  const std::int64_t columns = std::int64_t(x.size()) / rows;
  const CompiledLoop compiled(moments_loop<T>(rows, columns, of_columns, source));
  const auto count = std::size_t(of_columns ? columns : rows);
  Moments<T> out{std::vector<T>(count), std::vector<T>(count)};
  std::vector<std::byte> scratch(compiled.scratch_bytes() + 64);
  const void* inputs[] = {x.data()};
  void* outputs[] = {out.sums.data(), out.squares.data()};
  compiled.run(inputs, outputs, scratch.data() + 64 - std::uintptr_t(scratch.data()) % 64);
  return out;
}

/// The largest relative error of squared deviations, in units of the last place.
template <class T, class Draw>
double worst_moments(std::int64_t rows, std::int64_t columns, bool of_columns, Source source,
                     const Draw& draw) {
  std::vector<T> x(std::size_t(rows * columns));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c)
      x[std::size_t(r * columns + c)] = T(of_columns ? draw(r) : draw(c));
  }
  const std::vector<T> got = moments(x, rows, of_columns, source).squares;
  const std::int64_t count = of_columns ? rows : columns;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto at = [&](std::int64_t n) -> long double {
      return x[of_columns ? std::size_t(n * columns) + i : i * std::size_t(columns) + std::size_t(n)];
    };
    long double sum = 0, squares = 0;
    for (std::int64_t n = 0; n < count; ++n) sum += at(n);
    const long double mean = sum / (long double)(count);
    for (std::int64_t n = 0; n < count; ++n) squares += (at(n) - mean) * (at(n) - mean);
    worst = std::max(
        worst, double(std::abs(got[i] - squares) / squares) / double(std::numeric_limits<T>::epsilon()));
  }
  return worst;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loop_moments)

// Naive formulas lose all digits of these: E[x^2] - E[x]^2 those far from 0, deviations from the first row
// those with an outlier there, deviations from an early mean those that drift or jump.
BOOST_AUTO_TEST_CASE(squared_deviations_are_as_accurate_as_in_two_passes) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  using Draw = std::function<double(std::int64_t)>;
  const std::pair<const char*, Draw> draws[] = {
      {"normal", [&](std::int64_t) { return normal(random); }},
      {"far", [&](std::int64_t) { return 1e4 + 1e-2 * normal(random); }},
      {"outlier", [&](std::int64_t n) { return n == 0 ? 1e6 : normal(random); }},
      {"last", [&](std::int64_t n) { return n == 2047 ? -1e6 : 3 + normal(random); }},
      {"drift", [&](std::int64_t n) { return double(n) + 1e-2 * normal(random); }},
      {"jump", [&](std::int64_t n) { return (n < 20 ? 0 : 1e4) + 1e-2 * normal(random); }}};
  for (const auto& [name, draw] : draws) {
    for (const auto& [count, others] : {std::pair{2048, 33}, {2048, 600}, {100, 500}, {20000, 3}}) {
      for (const int way : {0, 1, 2, 3}) {
        const bool of_columns = way % 2 == 0;
        const Source source = way < 2 ? Source::memory : Source::instruction;
        const std::int64_t rows = of_columns ? count : others, columns = of_columns ? others : count;
        const double f32 = worst_moments<float>(rows, columns, of_columns, source, draw);
        const double f64 = worst_moments<double>(rows, columns, of_columns, source, draw);
        // Adding up 64 values at worst may cost half a unit each.
        BOOST_TEST(f32 < 32, name << ' ' << rows << 'x' << columns << ": off by " << f32 << " units");
        BOOST_TEST(f64 < 64, name << ' ' << rows << 'x' << columns << ": off by " << f64 << " units in f64");
      }
    }
  }
}

void check_edges(bool of_columns, std::int64_t n, Source source) {
  const float infinity = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  const std::int64_t rows = of_columns ? n : 3;
  const auto of = [&](const auto& x) { return moments(x, rows, of_columns, source); };
  // Equal elements have no deviation, whatever they are.
  std::vector<float> x(std::size_t(3 * n), 0.1f);
  const Moments<float> same = of(x);
  for (const float value : same.squares) BOOST_TEST(value == 0);
  for (const float value : same.sums) BOOST_TEST(value == float(double(n) * 0.1f));
  for (const double value : of(std::vector<double>(x.size(), 0.1)).squares) BOOST_TEST(value == 0);
  // What is not finite reaches its own results alone.
  const auto place = [&](std::int64_t i, std::int64_t which) {
    return std::size_t(of_columns ? i * 3 + which : which * n + i);
  };
  x[place(n - 1, 0)] = infinity;
  x[place(n / 2, 2)] = nan;
  const Moments<float> got = of(x);
  BOOST_TEST((std::isnan(got.squares[0]) && got.squares[1] == 0 && std::isnan(got.squares[2])));
  BOOST_TEST((got.sums[0] == infinity && std::isnan(got.sums[2])));
  x[place(0, 0)] = -infinity;
  BOOST_TEST(std::isnan(of(x).sums[0]) == (n > 1));
}

BOOST_AUTO_TEST_CASE(equal_values_and_what_is_not_finite) {
  for (const std::int64_t target : std::array<std::int64_t, 3>{0, HWY_AVX2, HWY_SCALAR}) {
    const SimdTargets only(target);
    for (const std::int64_t n : {1, 2, 3, 8, 9, 17, 41, 300, 5000}) {
      for (const Source source : {Source::memory, Source::instruction}) {
        check_edges(true, n, source);
        check_edges(false, n, source);
      }
    }
  }
  const float most = std::numeric_limits<float>::max();
  BOOST_TEST(moments<float>({most, -most}, 2, true).squares[0] == std::numeric_limits<float>::infinity());
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  const test::RestoreThreads restore;
  std::mt19937 random(3);
  std::vector<float> x(3001 * 310);
  for (float& value : x) value = 3 + float(random() % 1000);
  for (const Source source : {Source::memory, Source::instruction}) {
    set_thread_count(1);
    const Moments<float> alone = moments(x, 3001, true, source);
    for (const int threads : {2, 3, 8}) {
      set_thread_count(threads);
      const Moments<float> got = moments(x, 3001, true, source);
      BOOST_TEST((got.squares == alone.squares && got.sums == alone.sums));
    }
  }
}

// Results of so many bytes go past the caches, but for those that are gathered as well.
BOOST_AUTO_TEST_CASE(of_what_is_stored_too) {
  constexpr std::int64_t rows = 33000, columns = 256;
  Loop loop = moments_loop<float>(rows, columns, true, Source::instruction);
  loop.outputs.push_back({Operand::result(0), DType::f32, Reduce::none, {columns, 1}});
  const CompiledLoop compiled(loop);
  std::vector<float> x(rows * columns), y(x.size()), sums(columns), squares(columns);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 100 + float(i / columns % 2 == 0 ? 1 : -1);
  std::vector<std::byte> scratch(compiled.scratch_bytes() + 64);
  const void* inputs[] = {x.data()};
  void* outputs[] = {sums.data(), squares.data(), y.data()};
  compiled.run(inputs, outputs, scratch.data() + 64 - std::uintptr_t(scratch.data()) % 64);
  BOOST_TEST((x == y));
  for (const float value : sums) BOOST_TEST(value == 100.0f * rows);
  for (const float value : squares) BOOST_TEST(value == float(rows));
}

BOOST_AUTO_TEST_SUITE_END()
