#include "naive_loop.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <type_traits>

namespace tapestry::kernels {
namespace {

template <class T>
T load(DType dtype, const void* data, std::int64_t at) {
  return visit_dtype(dtype, [&](auto t) {
    const auto value = static_cast<const decltype(t)*>(data)[at];
    if constexpr (std::is_same_v<decltype(t), bf16>) {
      return T(float(value));
    } else {
      return T(value);
    }
  });
}

std::int64_t offset_of(const Shape& at, const Shape& strides) {
  std::int64_t sum = 0;
  for (int d = 0; d < at.rank(); ++d) sum += at[d] * strides[d];
  return sum;
}

template <class T>
void gather(Reduce reduce, long double value, std::int64_t offset, NaiveResult& result,
            std::map<std::int64_t, std::size_t>& place) {
  const auto [found, is_new] = place.try_emplace(offset, result.values.size());
  if (is_new) {
    result.offsets.push_back(offset);
    result.values.push_back(value);
    result.magnitudes.push_back(std::abs(value));
    return;
  }
  long double& total = result.values[found->second];
  result.magnitudes[found->second] += std::abs(value);
  if (reduce == Reduce::sum) {
    if constexpr (std::is_integral_v<T>) {
      total = (long double)(std::int64_t(std::uint64_t(std::int64_t(total)) +
                                         std::uint64_t(std::int64_t(value))));
    } else {
      total += value;
    }
  } else if (std::isnan(value) || std::isnan(total)) {
    total = std::numeric_limits<long double>::quiet_NaN();
  } else if ((value > total) == (reduce == Reduce::max)) {
    total = value;
  }
}

/// Once all values are known. Rounding is relative to the result and, squared, to the values themselves.
template <class T>
void square_deviations(const std::map<std::int64_t, std::vector<long double>>& all, NaiveResult& result) {
  for (const auto& [offset, values] : all) {
    long double sum = 0, squares = 0, largest = 0;
    for (const long double value : values) sum += value;
    const long double n = (long double)(values.size()), mean = sum / n;
    for (const long double value : values) {
      squares += (value - mean) * (value - mean);
      largest = std::max(largest, std::abs(value));
    }
    result.offsets.push_back(offset);
    result.values.push_back(squares);
    result.magnitudes.push_back(squares + n * largest * largest * std::numeric_limits<T>::epsilon());
  }
}

template <class T>
T reduce_row(Code code, std::span<const T> row) {
  if constexpr (std::is_integral_v<T>) {
    if (code == Code::row_sum) {
      std::uint64_t total = 0;
      for (const T value : row) total += std::uint64_t(value);
      return T(total);
    }
  }
  long double total = code == Code::row_sum ? 0 : (long double)(row[0]);
  for (const T value : row) {
    if (code == Code::row_sum) {
      total += value;
    } else if (value != value) {
      total = value;
    } else if (total == total && (value > total) == (code == Code::row_max)) {
      total = value;
    }
  }
  return T(total);
}

/// Row by row, since an instruction may need the whole row of the one before. Without rows an element is one.
template <class T>
std::vector<NaiveResult> evaluate(const Loop& loop, std::span<const void* const> inputs) {
  std::vector<NaiveResult> results(loop.outputs.size());
  std::vector<std::map<std::int64_t, std::size_t>> places(loop.outputs.size());
  std::vector<std::map<std::int64_t, std::vector<long double>>> deviating(loop.outputs.size());
  const int rank = loop.extents.rank();
  const std::int64_t elements = loop.extents.elements();
  std::int64_t row_elements = 1;
  for (int d = loop.row.value_or(rank); d < rank; ++d) row_elements *= loop.extents[d];

  std::vector<Shape> at;  // of the elements of the row
  std::vector<std::vector<T>> values(loop.code.size(), std::vector<T>(std::size_t(row_elements)));
  const auto value_of = [&](const Operand& operand, std::size_t e) -> T {
    switch (operand.kind) {
      case Operand::Kind::result:
        return values[operand.index][e];
      case Operand::Kind::constant:
        return std::is_integral_v<T> ? T(operand.integer) : T(operand.value);
      case Operand::Kind::none:
        break;
      case Operand::Kind::input: {
        const LoopInput& input = loop.inputs[operand.index];
        return load<T>(input.dtype, inputs[operand.index], offset_of(at[e], input.strides));
      }
    }
    return T{};
  };
  const auto compute = [&](std::size_t i) {
    const Instruction& in = loop.code[i];
    for (std::size_t e = 0; e < at.size(); ++e) {
      if (in.code == Code::index) {
        values[i][e] = T(at[e][in.dim]);
      } else if (in.code >= Code::row_sum) {
        values[i][e] = value_of(in.a, e);
      } else {
        values[i][e] = evaluate_naively<T>(in.code, value_of(in.a, e), value_of(in.b, e), value_of(in.c, e));
      }
    }
    if (in.code == Code::row_at) {
      const T number = value_of(in.b, 0);
      const bool is_there = number >= 0 && number < T(at.size()) && T(std::int64_t(number)) == number;
      std::ranges::fill(values[i], is_there ? values[i][std::size_t(number)] : T(0));
    } else if (in.code >= Code::row_sum) {
      std::ranges::fill(values[i], reduce_row<T>(in.code, values[i]));
    }
  };
  const auto store = [&](std::size_t o, std::size_t e) {
    const LoopOutput& output = loop.outputs[o];
    const std::int64_t offset = offset_of(at[e], output.strides);
    const auto value = (long double)(value_of(output.value, e));
    if (output.reduce == Reduce::none) {
      results[o].offsets.push_back(offset);
      results[o].values.push_back(value);
    } else if (output.reduce == Reduce::squared_deviations) {
      deviating[o][offset].push_back(value);
    } else {
      gather<T>(output.reduce, value, offset, results[o], places[o]);
    }
  };
  Shape next = Shape::filled(rank, 0);
  for (std::int64_t done = 0; done < elements; done += row_elements) {
    at.clear();
    for (std::int64_t e = 0; e < row_elements; ++e) {
      at.push_back(next);
      for (int d = rank - 1; d >= 0; --d) {
        if (++next[d] < loop.extents[d]) break;
        next[d] = 0;
      }
    }
    for (std::size_t i = 0; i < loop.code.size(); ++i) compute(i);
    for (std::size_t o = 0; o < loop.outputs.size(); ++o) {
      for (std::size_t e = 0; e < (loop.outputs[o].per_row ? 1 : at.size()); ++e) store(o, e);
    }
  }
  if constexpr (!std::is_integral_v<T>) {
    for (std::size_t o = 0; o < results.size(); ++o) square_deviations<T>(deviating[o], results[o]);
  }
  return results;
}

// In unsigned arithmetic, for overflow to wrap.
template <class T, class F>
T wrapping(F f, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return T(f(std::uint64_t(a), std::uint64_t(b)));
  } else {
    return f(a, b);
  }
}

/// P(N <= x) + x p(x)
template <class T>
T gelu_slope(T x) {
  constexpr long double kPi = 3.141592653589793238462643L;
  const long double a = x, product = std::isinf(x) ? 0 : a * std::exp(-a * a / 2) / std::sqrt(2 * kPi);
  return T(std::erfc(-a / std::sqrt(2.0L)) / 2 + product);
}

}  // namespace

template <class T>
T evaluate_naively(Code code, T a, T b, T c) {
  const auto add = [](auto x, auto y) { return x + y; };
  const auto sub = [](auto x, auto y) { return x - y; };
  const auto mul = [](auto x, auto y) { return x * y; };
  const bool nan = a != a || b != b;
  // clang-format off
  switch (code) {
    case Code::copy: return a;
    case Code::neg: return std::is_integral_v<T> ? wrapping(sub, T(0), a) : -a;
    case Code::abs: return std::is_integral_v<T> && a > 0 ? a : std::is_integral_v<T> ? wrapping(sub, T(0), a) : T(std::fabs(a));
    case Code::sign: return a != a ? a : T((a > 0) - (a < 0));
    case Code::logical_not: return T(a == 0);
    case Code::add: return wrapping(add, a, b);
    case Code::sub: return wrapping(sub, a, b);
    case Code::mul: return wrapping(mul, a, b);
    case Code::max: return nan ? a + b : a > b ? a : b;
    case Code::min: return nan ? a + b : a < b ? a : b;
    case Code::eq: return T(a == b);
    case Code::ne: return T(a != b);
    case Code::lt: return T(a < b);
    case Code::le: return T(a <= b);
    case Code::gt: return T(a > b);
    case Code::ge: return T(a >= b);
    case Code::logical_and: return T(a != 0 && b != 0);
    case Code::logical_or: return T(a != 0 || b != 0);
    case Code::mul_no_nan: return a == 0 ? T(0) : wrapping(mul, a, b);
    case Code::select: return c != 0 ? a : b;
    case Code::mul_add: return wrapping(add, wrapping(mul, a, b), c);
    default: break;
  }
  if constexpr (std::is_integral_v<T>) {
    switch (code) {
      case Code::div: return b == 0 ? 0 : b == -1 ? wrapping(sub, T(0), a) : a / b;
      case Code::is_finite: return 1;
      default: return a;
    }
  } else {
    switch (code) {
      case Code::sqrt: return std::sqrt(a);
      case Code::exp: return std::exp(a);
      case Code::expm1: return std::expm1(a);
      case Code::log: return std::log(a);
      case Code::log1p: return std::log1p(a);
      case Code::sin: return std::sin(a);
      case Code::cos: return std::cos(a);
      case Code::tanh: return std::tanh(a);
      case Code::erf: return std::erf(a);
      case Code::gelu_slope: return gelu_slope(a);
      case Code::floor: return std::floor(a);
      case Code::is_finite: return T(std::isfinite(a));
      case Code::div: return a / b;
      case Code::pow: return std::pow(a, b);
      default: return a;
    }
  }
  // clang-format on
}

template float evaluate_naively(Code, float, float, float);
template double evaluate_naively(Code, double, double, double);
template std::int64_t evaluate_naively(Code, std::int64_t, std::int64_t, std::int64_t);
template long double evaluate_naively(Code, long double, long double, long double);

std::vector<NaiveResult> evaluate_naively(const Loop& loop, std::span<const void* const> inputs) {
  switch (loop.lane) {
    case Lane::f64:
      return evaluate<double>(loop, inputs);
    case Lane::i64:
      return evaluate<std::int64_t>(loop, inputs);
    case Lane::f32:
      break;
  }
  return evaluate<float>(loop, inputs);
}

long double load_naively(DType dtype, const void* data, std::int64_t at) {
  return load<long double>(dtype, data, at);
}

}  // namespace tapestry::kernels
