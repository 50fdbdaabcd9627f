// The instructions of fused loops, each one pass over a block.
#include <tapestry/ops/kernels/loop_tables.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <utility>

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/loop_sweeps.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <tapestry/ops/kernels/math-inl.hpp>
#include <tapestry/ops/kernels/tails-inl.hpp>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class M>
HWY_INLINE hn::Vec<D> one_if(D d, M mask) {
  return hn::IfThenElseZero(mask, hn::Set(d, 1));
}

// Highway's Ne is false for NaN.
template <class V>
HWY_INLINE auto differs(V a, V b) {
  return hn::Not(hn::Eq(a, b));
}

/// The value of an instruction, a vector at a time; operands that it lacks are ignored.
template <Code code, class D, class V = hn::Vec<D>>
HWY_INLINE V value_of(D d, V a, V b, V c) {
  using T = hn::TFromD<D>;
  const V zero = hn::Zero(d);
  // clang-format off
  if constexpr (code == Code::copy) return a;
  else if constexpr (code == Code::neg) return hn::Neg(a);
  else if constexpr (code == Code::abs) return hn::Abs(a);
  else if constexpr (code == Code::sign) {
    const V one = hn::CopySign(hn::Set(d, T(1)), a);
    return hn::IfThenElse(differs(a, zero), hn::IfThenElse(hn::IsNaN(a), a, one), zero);
  }
  else if constexpr (code == Code::sqrt) return hn::Sqrt(a);
  else if constexpr (code == Code::exp) return math::exp(d, a);
  else if constexpr (code == Code::expm1) return math::expm1(d, a);
  else if constexpr (code == Code::log) return math::log(d, a);
  else if constexpr (code == Code::log1p) return math::log1p(d, a);
  else if constexpr (code == Code::sin) return math::sin(d, a);
  else if constexpr (code == Code::cos) return math::cos(d, a);
  else if constexpr (code == Code::tanh) return math::tanh(d, a);
  else if constexpr (code == Code::gelu_slope) return math::gelu_slope(d, a);
  else if constexpr (code == Code::erf) return math::erf(d, a);
  else if constexpr (code == Code::floor) return hn::Floor(a);
  else if constexpr (code == Code::logical_not) return one_if(d, hn::Eq(a, zero));
  else if constexpr (code == Code::is_finite) return one_if(d, hn::IsFinite(a));
  else if constexpr (code == Code::add) return hn::Add(a, b);
  else if constexpr (code == Code::sub) return hn::Sub(a, b);
  else if constexpr (code == Code::mul) return hn::Mul(a, b);
  else if constexpr (code == Code::div) return hn::Div(a, b);
  else if constexpr (code == Code::pow) return math::pow(d, a, b);
  else if constexpr (code == Code::max) return max_or_nan(a, b);
  else if constexpr (code == Code::min) return min_or_nan(a, b);
  else if constexpr (code == Code::eq) return one_if(d, hn::Eq(a, b));
  else if constexpr (code == Code::ne) return one_if(d, differs(a, b));
  else if constexpr (code == Code::lt) return one_if(d, hn::Lt(a, b));
  else if constexpr (code == Code::le) return one_if(d, hn::Le(a, b));
  else if constexpr (code == Code::gt) return one_if(d, hn::Gt(a, b));
  else if constexpr (code == Code::ge) return one_if(d, hn::Ge(a, b));
  else if constexpr (code == Code::logical_and) return one_if(d, hn::And(differs(a, zero), differs(b, zero)));
  else if constexpr (code == Code::logical_or) return one_if(d, hn::Or(differs(a, zero), differs(b, zero)));
  else if constexpr (code == Code::mul_no_nan) return hn::IfThenElseZero(differs(a, zero), hn::Mul(a, b));
  else if constexpr (code == Code::select) return hn::IfThenElse(differs(c, zero), a, b);
  else if constexpr (code == Code::mul_add) return hn::Add(hn::Mul(a, b), c);
  // clang-format on
}

constexpr int arity(Code code) { return code < Code::add ? 1 : code < Code::select ? 2 : 3; }

// What a sweep computes from up to four operands: one instruction, ...
template <Code code>
struct One {
  static constexpr int kOperands = arity(code);
  template <class D, class V>
  static HWY_INLINE V value(D d, V a, V b, V c, V) {
    return value_of<code>(d, a, b, c);
  }
};

// ... outer(inner(a, b), c), or outer(c, inner(a, b)), or of unary ones outer(inner(a), b), outer(inner(a,
// b)), ...
template <Code inner, Code outer, bool second>
struct Pair {
  static constexpr int kOperands = arity(inner) + arity(outer) - 1;
  template <class D, class V>
  static HWY_INLINE V value(D d, V a, V b, V c, V) {
    const V first = value_of<inner>(d, a, b, b);
    const V other = arity(inner) == 1 ? b : c;
    return second ? value_of<outer>(d, other, first, first) : value_of<outer>(d, first, other, other);
  }
};

// ... or outer(left(a, b), right(c, e)).
template <Code left, Code right, Code outer>
struct Tree {
  static constexpr int kOperands = 4;
  template <class D, class V>
  static HWY_INLINE V value(D d, V a, V b, V c, V e) {
    const V first = value_of<left>(d, a, b, b);
    return value_of<outer>(d, first, value_of<right>(d, c, e, e), first);
  }
};

template <class T, class Expression>
void sweep(const Source* operands, void* out, std::int64_t count) {
  const hn::ScalableTag<T> d;
  constexpr int n = Expression::kOperands;
  const std::int64_t lanes = std::int64_t(hn::Lanes(d));
  const T* p[n];
  std::int64_t step[n];
  for (int k = 0; k < n; ++k) {
    p[k] = static_cast<const T*>(operands[k].data);
    step[k] = operands[k].step * lanes;
  }
  T* to = static_cast<T*>(out);
  const auto value = [&](const auto& load) HWY_ATTR {
    const auto a = load(0);
    const auto b = n > 1 ? load(1 % n) : a;
    const auto c = n > 2 ? load(2 % n) : a;
    return Expression::value(d, a, b, c, n > 3 ? load(3 % n) : a);
  };
  // Operands are read where they are; a scalar's pointer just doesn't move.
  const auto first = [&](int k) HWY_ATTR { return hn::LoadU(d, p[k]); };
  const auto second = [&](int k) HWY_ATTR { return hn::LoadU(d, p[k] + step[k]); };
  std::int64_t done = 0;
  for (; done + 2 * lanes <= count; done += 2 * lanes) {
    const auto v0 = value(first);
    const auto v1 = value(second);
    hn::StoreU(v0, d, to + done);
    hn::StoreU(v1, d, to + done + lanes);
    for (int k = 0; k < n; ++k) p[k] += 2 * step[k];
  }
  if (done + lanes <= count) {
    hn::StoreU(value(first), d, to + done);
    for (int k = 0; k < n; ++k) p[k] += step[k];
    done += lanes;
  }
  if (const std::int64_t rest = count - done; rest > 0) {
    const auto partial = [&](int k) HWY_ATTR {
      return step[k] == 0 ? hn::LoadU(d, p[k]) : load_first(d, p[k], rest);
    };
    store_first(value(partial), d, to + done, rest);
  }
}

// Two's complement: signed overflow wraps.
HWY_INLINE std::int64_t wrap(std::uint64_t value) { return std::int64_t(value); }

template <Code code>
HWY_INLINE std::int64_t integer_value_of(std::int64_t a, std::int64_t b, std::int64_t c) {
  const std::uint64_t ua = std::uint64_t(a), ub = std::uint64_t(b), uc = std::uint64_t(c);
  // clang-format off
  switch (code) {
    case Code::neg: return wrap(0 - ua);
    case Code::abs: return a < 0 ? wrap(0 - ua) : a;
    case Code::sign: return (a > 0) - (a < 0);
    case Code::logical_not: return a == 0;
    case Code::is_finite: return 1;
    case Code::add: return wrap(ua + ub);
    case Code::sub: return wrap(ua - ub);
    case Code::mul: case Code::mul_no_nan: return wrap(ua * ub);
    case Code::div: return b == 0 ? 0 : b == -1 ? wrap(0 - ua) : a / b;
    case Code::max: return a > b ? a : b;
    case Code::min: return a < b ? a : b;
    case Code::eq: return a == b;
    case Code::ne: return a != b;
    case Code::lt: return a < b;
    case Code::le: return a <= b;
    case Code::gt: return a > b;
    case Code::ge: return a >= b;
    case Code::logical_and: return a != 0 && b != 0;
    case Code::logical_or: return a != 0 || b != 0;
    case Code::select: return c != 0 ? a : b;
    case Code::mul_add: return wrap(ua * ub + uc);
    default: return a;  // copy, floor
  }
  // clang-format on
}

template <Code code>
void integer_sweep(const Source* operands, void* out, std::int64_t count) {
  constexpr int n = arity(code);
  const Source& first = operands[0];
  const Source& second = operands[n > 1 ? 1 : 0];
  const Source& third = operands[n > 2 ? 2 : 0];
  const auto* a = static_cast<const std::int64_t*>(first.data);
  const auto* b = static_cast<const std::int64_t*>(second.data);
  const auto* c = static_cast<const std::int64_t*>(third.data);
  auto* to = static_cast<std::int64_t*>(out);
  if (first.step == 1 && second.step == 1 && third.step == 1) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = integer_value_of<code>(a[i], b[i], c[i]);
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      to[i] = integer_value_of<code>(a[i * first.step], b[i * second.step], c[i * third.step]);
    }
  }
}

constexpr bool is_transcendental(Code code) {
  return (code >= Code::sqrt && code <= Code::erf) || code == Code::pow;
}

template <class T, Code code>
constexpr Sweep sweep_of() {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return is_transcendental(code) ? nullptr : &integer_sweep<code>;
  } else {
    return &sweep<T, One<code>>;
  }
}

template <class T, std::size_t... codes>
Sweep choose(Code code, std::index_sequence<codes...>) {
  static constexpr std::array table{sweep_of<T, Code(codes)>()...};
  return std::size_t(code) < table.size() ? table[std::size_t(code)] : nullptr;
}

Sweep sweep_for(Lane lane, Code code) {
  constexpr auto codes = std::make_index_sequence<std::size_t(Code::index)>();
  switch (lane) {
    case Lane::f32:
      return choose<float>(code, codes);
    case Lane::f64:
      return choose<double>(code, codes);
    case Lane::i64:
      return choose<std::int64_t>(code, codes);
  }
  return nullptr;
}

// The combinations that training is full of, in f32.
struct Combination {
  Code left, right, outer;  // right: copy if there is none
  bool second;
  Sweep sweep;
};

template <Code inner, Code outer, bool second = false>
constexpr Combination pair() {
  return {inner, Code::copy, outer, second, &sweep<float, Pair<inner, outer, second>>};
}
template <Code left, Code right, Code outer>
constexpr Combination tree() {
  return {left, right, outer, false, &sweep<float, Tree<left, right, outer>>};
}
template <Code inner>
constexpr auto pairs_of() {
  return std::array{pair<inner, Code::add>(), pair<inner, Code::mul>(),
                    pair<inner, Code::sub>(), pair<inner, Code::sub, true>(),
                    pair<inner, Code::div>(), pair<inner, Code::div, true>(),
                    pair<inner, Code::max>(), pair<inner, Code::max, true>()};
}

constexpr std::array kPairs{pairs_of<Code::add>(), pairs_of<Code::sub>(), pairs_of<Code::mul>(),
                            pairs_of<Code::div>()};
constexpr std::array kOthers{
    pair<Code::sqrt, Code::add>(),
    pair<Code::add, Code::sqrt>(),
    pair<Code::mul, Code::sqrt>(),
    pair<Code::div, Code::sqrt>(),
    pair<Code::gt, Code::mul>(),
    pair<Code::sub, Code::exp>(),
    pair<Code::mul, Code::erf>(),
    pair<Code::mul_no_nan, Code::add>(),
    tree<Code::mul, Code::add, Code::mul>(),
    tree<Code::mul, Code::add, Code::div>(),
    tree<Code::mul, Code::mul, Code::add>(),
    tree<Code::mul, Code::mul, Code::sub>(),
};

Sweep combination_for(Code left, Code right, Code outer, bool second) {
  // These two don't care which operand comes first.
  if (outer == Code::add || outer == Code::mul) second = false;
  const auto find = [&](const auto& table) -> Sweep {
    for (const Combination& c : table) {
      if (c.left == left && c.right == right && c.outer == outer && c.second == second) return c.sweep;
    }
    return nullptr;
  };
  for (const auto& table : kPairs) {
    if (const Sweep found = find(table)) return found;
  }
  return find(kOthers);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(sweep_for);
HWY_EXPORT(combination_for);

Sweep find_sweep(Lane lane, Code code) { return HWY_DYNAMIC_DISPATCH(sweep_for)(lane, code); }

Sweep find_pair(Lane lane, Code inner, Code outer, bool second) {
  return lane == Lane::f32 ? HWY_DYNAMIC_DISPATCH(combination_for)(inner, Code::copy, outer, second)
                           : nullptr;
}
Sweep find_tree(Lane lane, Code left, Code right, Code outer) {
  return lane == Lane::f32 ? HWY_DYNAMIC_DISPATCH(combination_for)(left, right, outer, false) : nullptr;
}

}  // namespace tapestry::kernels
#endif
