#include "approximate_parts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace tapestry::test::approximate_parts {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Reader final : public FieldVisitor {
 public:
  explicit Reader(Fields& fields) : fields_(fields) {}
  void operator()(std::string_view name, std::int64_t value) override { put(name, double(value)); }
  void operator()(std::string_view name, double value) override { put(name, value); }
  void operator()(std::string_view name, bool value) override { put(name, value); }
  void operator()(std::string_view name, std::string_view value) override {
    fields_.words.emplace(name, value);
  }
  void operator()(std::string_view name, const Shape& value) override { fields_.shapes.emplace(name, value); }
  void operator()(std::string_view, const Tensor&) override {}

 private:
  void put(std::string_view name, double value) { fields_.numbers.emplace(name, value); }
  Fields& fields_;
};

/// What rounding a result adds. Below the normal numbers the error is absolute.
double rounding(DType dtype, double value) {
  if (!is_floating(dtype)) return 0;
  return roundoff(dtype) * std::abs(value) + (dtype == DType::f64 ? 1e-307 : 2e-38);
}

/// Errors of a function of x that is monotone between x - e and x + e.
template <class F>
double spread(F f, const Number& x) {
  if (x.error == 0) return 0;
  const double y = f(x.value);
  const double up = std::abs(f(x.value + x.error) - y), down = std::abs(f(x.value - x.error) - y);
  return std::isnan(up + down) ? kInfinity : std::max(up, down);  // NaN: the interval leaves the domain
}

/// Of a function whose slope is at most `slope`.
double lipschitz(double slope, const Number& x) { return slope * x.error; }

bool undecided(const Number& a, const Number& b) {
  const double e = a.error + b.error;
  return e > 0 && !(std::abs(a.value - b.value) > e);
}

Number product(const Number& a, const Number& b) {
  return {a.value * b.value, std::abs(a.value) * b.error + std::abs(b.value) * a.error + a.error * b.error};
}

Number quotient(const Number& a, const Number& b) {
  const double y = a.value / b.value, room = std::abs(b.value) - b.error;
  if (room <= 0) return {y, kInfinity};
  return {y, (a.error + std::abs(y) * b.error) / room};
}

/// Monotone in each operand while the base is positive, so that the extremes are at the corners.
Number power(const Number& a, const Number& b) {
  const double y = std::pow(a.value, b.value);
  if (a.error == 0 && b.error == 0) return {y, 0};
  if (a.value - a.error <= 0) return {y, kInfinity};
  double error = 0;
  for (const double i : {-1.0, 1.0}) {
    for (const double j : {-1.0, 1.0}) {
      error = std::max(error, std::abs(std::pow(a.value + i * a.error, b.value + j * b.error) - y));
    }
  }
  return {y, error};
}

enum class Rounds : std::uint8_t { not_at_all, once, function };

struct Rule {
  Number (*f)(const Number& a, const Number& b, const Number& c);
  Rounds rounds = Rounds::not_at_all;
};
using N = const Number&;

template <class Compare>
Number compared(N a, N b, Compare compare) {
  return {double(compare(a.value, b.value)), double(undecided(a, b))};
}
#define TAPESTRY_COMPARE(OP)                                                              \
  {                                                                                       \
    [](N a, N b, N) { return compared(a, b, [](double p, double q) { return p OP q; }); } \
  }
#define TAPESTRY_FUNCTION(F)                                                   \
  {                                                                            \
    [](N a, N, N) -> Number {                                                  \
      return {F(a.value), spread([](double v) -> double { return F(v); }, a)}; \
    },                                                                         \
        Rounds::function                                                       \
  }

double gelu_slope(double x) {
  return std::erfc(-x / std::sqrt(2.0)) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
}

double sign_of(double x) { return double(x > 0) - double(x < 0); }

const std::unordered_map<std::string_view, Rule>& rules() {
  static const std::unordered_map<std::string_view, Rule> kRules = {
      {"neg", {[](N a, N, N) -> Number {
         return {-a.value, a.error};
       }}},
      {"abs", {[](N a, N, N) -> Number {
         return {std::abs(a.value), a.error};
       }}},
      {"sign", {[](N a, N, N) -> Number {
         return {sign_of(a.value), spread(sign_of, a)};
       }}},
      {"floor", {[](N a, N, N) -> Number {
         return {std::floor(a.value), spread([](double v) { return std::floor(v); }, a)};
       }}},
      {"stop_gradient", {[](N a, N, N) { return a; }}},
      {"broadcast_to", {[](N a, N, N) { return a; }}},
      {"add",
       {[](N a, N b, N) -> Number {
          return {a.value + b.value, a.error + b.error};
        },
        Rounds::once}},
      {"sub",
       {[](N a, N b, N) -> Number {
          return {a.value - b.value, a.error + b.error};
        },
        Rounds::once}},
      {"mul", {[](N a, N b, N) { return product(a, b); }, Rounds::once}},
      {"div", {[](N a, N b, N) { return quotient(a, b); }, Rounds::once}},
      {"mul_no_nan",
       {[](N a, N b, N) { return a.value == 0 && a.error == 0 ? Number{} : product(a, b); }, Rounds::once}},
      {"maximum", {[](N a, N b, N) -> Number {
         return {std::max(a.value, b.value), std::max(a.error, b.error)};
       }}},
      {"minimum", {[](N a, N b, N) -> Number {
         return {std::min(a.value, b.value), std::max(a.error, b.error)};
       }}},
      {"pow", {[](N a, N b, N) { return power(a, b); }, Rounds::function}},
      {"sqrt", TAPESTRY_FUNCTION(std::sqrt)},
      {"exp", TAPESTRY_FUNCTION(std::exp)},
      {"expm1", TAPESTRY_FUNCTION(std::expm1)},
      {"log", TAPESTRY_FUNCTION(std::log)},
      {"log1p", TAPESTRY_FUNCTION(std::log1p)},
      {"tanh", TAPESTRY_FUNCTION(std::tanh)},
      {"erf", TAPESTRY_FUNCTION(std::erf)},
      {"gelu_slope",
       {[](N a, N, N) -> Number {
          // Next to 1/2, not to the result.
          return {gelu_slope(a.value), spread(gelu_slope, a) + 2e-7};
        },
        Rounds::function}},
      {"sin",
       {[](N a, N, N) -> Number {
          return {std::sin(a.value), lipschitz(1, a)};
        },
        Rounds::function}},
      {"cos",
       {[](N a, N, N) -> Number {
          return {std::cos(a.value), lipschitz(1, a)};
        },
        Rounds::function}},
      {"equal", TAPESTRY_COMPARE(==)},
      {"not_equal", TAPESTRY_COMPARE(!=)},
      {"less", TAPESTRY_COMPARE(<)},
      {"less_equal", TAPESTRY_COMPARE(<=)},
      {"greater", TAPESTRY_COMPARE(>)},
      {"greater_equal", TAPESTRY_COMPARE(>=)},
      {"logical_and", {[](N a, N b, N) -> Number {
         const bool no = (a.value == 0 && a.error == 0) || (b.value == 0 && b.error == 0);
         return {double(a.value != 0 && b.value != 0), no ? 0 : std::max(a.error, b.error)};
       }}},
      {"logical_or", {[](N a, N b, N) -> Number {
         const bool yes = (a.value != 0 && a.error == 0) || (b.value != 0 && b.error == 0);
         return {double(a.value != 0 || b.value != 0), yes ? 0 : std::max(a.error, b.error)};
       }}},
      {"logical_not", {[](N a, N, N) -> Number {
         return {double(a.value == 0), a.error};
       }}},
      {"is_finite", {[](N a, N, N) -> Number {
         return {double(std::isfinite(a.value)), double(!std::isfinite(a.error))};
       }}},
      {"where", {[](N c, N a, N b) -> Number {
         const Number& chosen = c.value != 0 ? a : b;
         if (c.error == 0) return chosen;
         return {chosen.value, std::max(a.error, b.error) + std::abs(a.value - b.value)};
       }}},
  };
  return kRules;
}

/// To the dtypes that aren't floating by jumps: truncated, or whether it isn't 0.
Number converted(const Number& x, DType to) {
  if (is_floating(to)) return x;
  if (to == DType::boolean) return {double(x.value != 0), double(undecided(x, {}))};
  return {std::trunc(x.value), spread([](double v) { return std::trunc(v); }, x)};
}

/// Integers divide towards zero, and x / 0 is 0.
Number whole(std::string_view op, const Number& y, const Number& divisor) {
  if (op != "div") return y;
  return divisor.value == 0 ? Number{} : Number{std::trunc(y.value), y.error == 0 ? 0 : y.error + 1};
}

/// Positions in x of the elements of y, to which it is broadcast.
std::vector<std::size_t> positions(const Shape& x, const Shape& y) {
  const auto n = std::size_t(y.elements());
  std::vector<std::size_t> out(n);
  if (x == y) {
    for (std::size_t i = 0; i < n; ++i) out[i] = i;
    return out;
  }
  Shape strides = Shape::filled(y.rank(), 0);
  std::int64_t stride = 1;
  for (int i = x.rank() - 1; i >= 0; --i) {
    strides[i + y.rank() - x.rank()] = x[i] == 1 ? 0 : stride;
    stride *= x[i];
  }
  for (std::size_t i = 0; i < n; ++i) {
    std::int64_t rest = std::int64_t(i), at = 0;
    for (int axis = y.rank() - 1; axis >= 0; --axis) {
      at += rest % y[axis] * strides[axis];
      rest /= y[axis];
    }
    out[i] = std::size_t(at);
  }
  return out;
}

/// Elements of x that become element `i` of y, of extent 1 along reduced axes, in row-major order.
std::vector<std::vector<std::size_t>> members(const Shape& x, const Shape& y) {
  const std::vector<std::size_t> to = positions(y, x);
  std::vector<std::vector<std::size_t>> out(std::size_t(y.elements()));
  for (std::size_t i = 0; i < to.size(); ++i) out[to[i]].push_back(i);
  return out;
}

Number total(const Approximate& x, std::span<const std::size_t> of, DType dtype) {
  double value = 0, error = 0, size = 0;
  for (const std::size_t i : of) {
    value += x.value[i];
    error += x.error[i];
    size += std::abs(x.value[i]);
  }
  // Summed in registers, bf16 in those of f32, and rounded once to be stored.
  const double u = roundoff(dtype == DType::bf16 ? DType::f32 : dtype);
  error += u * double(of.size()) * (size + error);
  return {value, error + rounding(dtype, std::abs(value) + error)};
}

Number squared_deviations(const Approximate& x, std::span<const std::size_t> of, DType dtype) {
  double sum = 0, mean_error = 0, largest = 0;
  for (const std::size_t i : of) {
    sum += x.value[i];
    mean_error += x.error[i];
    largest = std::max(largest, std::abs(x.value[i]) + x.error[i]);
  }
  const double n = double(of.size()), u = roundoff(dtype == DType::bf16 ? DType::f32 : dtype);
  const double mean = sum / n;
  double value = 0, error = 0;
  for (const std::size_t i : of) {
    // A pivot or a mean is rounded, too.
    const double off = x.error[i] + mean_error / n + 8 * u * largest, deviation = std::abs(x.value[i] - mean);
    value += deviation * deviation;
    error += off * (2 * deviation + off);
  }
  if (of.empty()) return {0, 0};
  error += u * (n + 8) * 2 * (value + error);
  return {value, error + rounding(dtype, value + error)};
}

Number extreme(const Approximate& x, std::span<const std::size_t> of, double sign) {
  double value = -kInfinity, high = -kInfinity, low = -kInfinity;
  for (const std::size_t i : of) {
    if (std::isnan(x.value[i])) return {x.value[i], kInfinity};
    value = std::max(value, sign * x.value[i]);
    high = std::max(high, sign * x.value[i] + x.error[i]);
    low = std::max(low, sign * x.value[i] - x.error[i]);
  }
  return {sign * value, std::max(high - value, value - low)};
}

Number place(const Approximate& x, std::span<const std::size_t> of, double sign) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < of.size(); ++i) {
    if (sign * x.value[of[i]] > sign * x.value[of[best]]) best = i;
  }
  for (std::size_t i = 0; i < of.size(); ++i) {
    if (i == best) continue;
    const Number other{x.value[of[i]], x.error[of[i]]}, first{x.value[of[best]], x.error[of[best]]};
    if (std::isnan(other.value) || undecided(other, first)) return {double(best), kInfinity};
  }
  return {double(best), 0};
}

}  // namespace

Fields fields_of(const Attrs& attrs) {
  Fields fields;
  Reader reader(fields);
  attrs.visit(reader);
  return fields;
}

double roundoff(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 0x1p-53;
    case DType::f32:
      return 0x1p-24;
    case DType::bf16:
      return 0x1p-8;
    default:
      return 0;
  }
}

bool pointwise(std::string_view op, Approximate& y, std::span<const Approximate* const> x) {
  const auto found = rules().find(op);
  if (found == rules().end() && op != "cast") return false;
  const DType dtype = y.type.dtype;
  std::vector<std::vector<std::size_t>> from;
  for (const Approximate* operand : x) from.push_back(positions(operand->type.shape, y.type.shape));
  Number in[3];
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    for (std::size_t k = 0; k < x.size(); ++k) in[k] = {x[k]->value[from[k][i]], x[k]->error[from[k][i]]};
    Number out = op == "cast" ? converted(in[0], dtype) : found->second.f(in[0], in[1], in[2]);
    const Rounds rounds = op == "cast" ? Rounds::once : found->second.rounds;
    // What is stored as bf16 is rounded there, whatever made it; functions are within two units in the last
    // place, four roundoffs, in either dtype.
    if (rounds == Rounds::function)
      out.error += 4 * rounding(dtype == DType::bf16 ? DType::f32 : dtype, out.value);
    if (rounds != Rounds::not_at_all) out.error += rounding(dtype, std::abs(out.value) + out.error);
    if (is_integer(dtype)) out = whole(op, out, in[1]);
    if (std::isnan(out.error) || !std::isfinite(out.value)) out.error = kInfinity;
    y.value[i] = out.value;
    y.error[i] = out.error;
  }
  return true;
}

bool reduce(std::string_view op, Approximate& y, std::span<const Approximate* const> x, const Fields&) {
  if (op != "sum" && op != "squared_deviations" && op != "max" && op != "min" && op != "argmax" &&
      op != "argmin")
    return false;
  const auto groups = members(x[0]->type.shape, y.type.shape);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const Number out = op == "sum"                  ? total(*x[0], groups[i], y.type.dtype)
                       : op == "squared_deviations" ? squared_deviations(*x[0], groups[i], y.type.dtype)
                       : op == "max"                ? extreme(*x[0], groups[i], 1)
                       : op == "min"                ? extreme(*x[0], groups[i], -1)
                       : op == "argmax"             ? place(*x[0], groups[i], 1)
                                                    : place(*x[0], groups[i], -1);
    y.value[i] = out.value;
    y.error[i] = std::isnan(out.error) ? kInfinity : out.error;
  }
  return true;
}

}  // namespace tapestry::test::approximate_parts
