#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/loop.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

namespace tapestry::kernels {
namespace {

struct CodeInfo {
  std::string_view name;
  int arity;
  bool integer;  // i64 lanes have it
};

constexpr std::array kCodes = std::to_array<CodeInfo>({
    {"copy", 1, true},   {"neg", 1, true},         {"abs", 1, true},         {"sign", 1, true},
    {"sqrt", 1, false},  {"exp", 1, false},        {"expm1", 1, false},      {"log", 1, false},
    {"log1p", 1, false}, {"sin", 1, false},        {"cos", 1, false},        {"tanh", 1, false},
    {"erf", 1, false},   {"floor", 1, true},       {"logical_not", 1, true}, {"is_finite", 1, true},
    {"add", 2, true},    {"sub", 2, true},         {"mul", 2, true},         {"div", 2, true},
    {"pow", 2, false},   {"max", 2, true},         {"min", 2, true},         {"eq", 2, true},
    {"ne", 2, true},     {"lt", 2, true},          {"le", 2, true},          {"gt", 2, true},
    {"ge", 2, true},     {"logical_and", 2, true}, {"logical_or", 2, true},  {"mul_no_nan", 2, true},
    {"select", 3, true}, {"mul_add", 3, true},     {"index", 0, true},
});
static_assert(kCodes.size() == std::size_t(Code::index) + 1);

const CodeInfo& info(Code code) { return kCodes[std::size_t(code)]; }

std::string_view name_of(Lane lane) {
  constexpr std::string_view names[] = {"f32", "f64", "i64"};
  return names[std::size_t(lane)];
}

void check_operand(const Loop& loop, const Operand& operand, std::size_t results, const std::string& where) {
  switch (operand.kind) {
    case Operand::Kind::none:
      fail(where, " lacks an operand");
    case Operand::Kind::constant:
      break;
    case Operand::Kind::input:
      require(operand.index < loop.inputs.size(), where, " reads input ", operand.index, " of ",
              loop.inputs.size());
      break;
    case Operand::Kind::result:
      require(operand.index < results, where, " reads result ", operand.index, " before it is computed");
      break;
  }
}

void check(const Loop& loop) {
  const int rank = loop.extents.rank();
  for (const std::int64_t extent : loop.extents)
    require(extent >= 0, "a loop can't have the extents ", loop.extents);
  for (const LoopInput& input : loop.inputs) {
    require(input.strides.rank() == rank, "a loop over ", loop.extents, " has an input of strides ",
            input.strides);
  }
  for (std::size_t i = 0; i < loop.code.size(); ++i) {
    const Instruction& instruction = loop.code[i];
    const std::string where = text("instruction ", i, " (", name_of(instruction.code), ')');
    require(loop.lane != Lane::i64 || info(instruction.code).integer, where, " does not exist for i64 lanes");
    const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
    for (int k = 0; k < arity_of(instruction.code); ++k) check_operand(loop, *operands[k], i, where);
    require(instruction.code != Code::index || instruction.dim < rank, where, " names dimension ",
            int(instruction.dim), " of a loop over ", loop.extents);
  }
  for (const LoopOutput& output : loop.outputs) {
    check_operand(loop, output.value, loop.code.size(), "an output");
    require(output.strides.rank() == rank, "a loop over ", loop.extents, " has an output of strides ",
            output.strides);
    for (int d = 0; d < rank; ++d) {
      require(output.reduce != Reduce::none || output.strides[d] != 0 || loop.extents[d] <= 1,
              "an output that is not reduced has stride 0 along dimension ", d, " of a loop over ",
              loop.extents);
    }
  }
}

std::string to_text(const Operand& operand, Lane lane) {
  switch (operand.kind) {
    case Operand::Kind::input:
      return text("in", operand.index);
    case Operand::Kind::result:
      return text('%', operand.index);
    case Operand::Kind::constant:
      return lane == Lane::i64 ? text(operand.integer) : text(operand.value);
    case Operand::Kind::none:
      break;
  }
  return "?";
}

}  // namespace

std::string_view name_of(Code code) { return info(code).name; }
int arity_of(Code code) { return info(code).arity; }

Operand Operand::constant(double value) {
  const bool fits = value >= -0x1p63 && value < 0x1p63;
  return {Kind::constant, 0, value, fits ? std::int64_t(value) : 0};
}

std::string to_string(const Loop& loop) {
  std::ostringstream out;
  out << "loop over " << loop.extents << " in " << name_of(loop.lane) << '\n';
  for (std::size_t i = 0; i < loop.inputs.size(); ++i) {
    out << "  in" << i << ": " << name_of(loop.inputs[i].dtype) << " strides " << loop.inputs[i].strides
        << '\n';
  }
  for (std::size_t i = 0; i < loop.code.size(); ++i) {
    const Instruction& instruction = loop.code[i];
    out << "  %" << i << " = " << name_of(instruction.code);
    const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
    for (int k = 0; k < arity_of(instruction.code); ++k) out << ' ' << to_text(*operands[k], loop.lane);
    if (instruction.code == Code::index) out << ' ' << int(instruction.dim);
    out << '\n';
  }
  constexpr std::string_view reductions[] = {"", "sum of ", "max of ", "min of "};
  for (std::size_t i = 0; i < loop.outputs.size(); ++i) {
    const LoopOutput& output = loop.outputs[i];
    out << "  out" << i << ": " << reductions[std::size_t(output.reduce)] << to_text(output.value, loop.lane)
        << " as " << name_of(output.dtype) << " strides " << output.strides << '\n';
  }
  return std::move(out).str();
}

struct LoopPlan {
  Loop loop;
};

namespace {

template <class T>
T load(DType dtype, const void* data, std::int64_t at) {
  return visit_dtype(dtype, [&](auto t) {
    using S = decltype(t);
    const S value = static_cast<const S*>(data)[at];
    if constexpr (std::is_same_v<S, bf16>) {
      return T(float(value));
    } else {
      return T(value);
    }
  });
}

template <class T>
void store(DType dtype, void* data, std::int64_t at, T value) {
  visit_dtype(dtype, [&](auto t) {
    using S = decltype(t);
    if constexpr (std::is_same_v<S, bf16>) {
      static_cast<S*>(data)[at] = bf16(float(value));
    } else if constexpr (std::is_same_v<S, bool>) {
      static_cast<S*>(data)[at] = value != 0;
    } else {
      static_cast<S*>(data)[at] = static_cast<S>(value);
    }
  });
}

template <class T>
T apply(const Instruction& i, T a, T b, T c, const Shape& at) {
  constexpr bool integer = std::is_same_v<T, std::int64_t>;
  const auto nan = [](T x) { return x != x; };
  switch (i.code) {
    case Code::copy:
      return a;
    case Code::neg:
      return -a;
    case Code::abs:
      return a < 0 ? -a : (a == 0 ? T(0) : a);
    case Code::sign:
      return nan(a) ? a : T((a > 0) - (a < 0));
    case Code::logical_not:
      return T(a == 0);
    case Code::add:
      return a + b;
    case Code::sub:
      return a - b;
    case Code::mul:
      return a * b;
    case Code::max:
      return nan(a) ? a : nan(b) ? b : std::max(a, b);
    case Code::min:
      return nan(a) ? a : nan(b) ? b : std::min(a, b);
    case Code::eq:
      return T(a == b);
    case Code::ne:
      return T(a != b);
    case Code::lt:
      return T(a < b);
    case Code::le:
      return T(a <= b);
    case Code::gt:
      return T(a > b);
    case Code::ge:
      return T(a >= b);
    case Code::logical_and:
      return T(a != 0 && b != 0);
    case Code::logical_or:
      return T(a != 0 || b != 0);
    case Code::mul_no_nan:
      return a == 0 ? T(0) : a * b;
    case Code::select:
      return c != 0 ? a : b;
    case Code::mul_add:
      return a * b + c;
    case Code::index:
      return T(at[i.dim]);
    case Code::div:
      if constexpr (integer) return b == 0 ? 0 : b == -1 ? -a : a / b;
      return a / b;
    case Code::is_finite:
      if constexpr (integer)
        return 1;
      else
        return T(std::isfinite(a));
    default:
      break;
  }
  if constexpr (!integer) {
    switch (i.code) {
      case Code::sqrt:
        return std::sqrt(a);
      case Code::exp:
        return std::exp(a);
      case Code::expm1:
        return std::expm1(a);
      case Code::log:
        return std::log(a);
      case Code::log1p:
        return std::log1p(a);
      case Code::sin:
        return std::sin(a);
      case Code::cos:
        return std::cos(a);
      case Code::tanh:
        return std::tanh(a);
      case Code::erf:
        return std::erf(a);
      case Code::floor:
        return std::floor(a);
      case Code::pow:
        return std::pow(a, b);
      default:
        break;
    }
  }
  return a;
}

// One element at a time; the results of an element live in scratch.
template <class T>
void evaluate(const Loop& loop, std::span<const void* const> inputs, std::span<void* const> outputs,
              T* results) {
  const Shape& extents = loop.extents;
  const std::int64_t elements = extents.elements();
  Shape at = Shape::filled(extents.rank(), 0);
  const auto offset = [&](const Shape& strides) {
    std::int64_t sum = 0;
    for (int d = 0; d < at.rank(); ++d) sum += at[d] * strides[d];
    return sum;
  };
  const auto value_of = [&](const Operand& operand) -> T {
    switch (operand.kind) {
      case Operand::Kind::input: {
        const LoopInput& input = loop.inputs[operand.index];
        return load<T>(input.dtype, inputs[operand.index], offset(input.strides));
      }
      case Operand::Kind::result:
        return results[operand.index];
      case Operand::Kind::constant:
        return std::is_same_v<T, std::int64_t> ? T(operand.integer) : T(operand.value);
      case Operand::Kind::none:
        break;
    }
    return T{};
  };
  const auto reduce_to = [&](const LoopOutput& output, T* total, T value) {
    if (output.reduce == Reduce::sum) *total += value;
    if (output.reduce == Reduce::max) *total = apply<T>({Code::max}, *total, value, 0, at);
    if (output.reduce == Reduce::min) *total = apply<T>({Code::min}, *total, value, 0, at);
  };
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const LoopOutput& output = loop.outputs[o];
    if (output.reduce == Reduce::none) continue;
    // Every kept position: the whole reduction, slowly.
    Shape kept = extents;
    for (int d = 0; d < kept.rank(); ++d) {
      if (output.strides[d] == 0) kept[d] = 1;
    }
    Shape where = Shape::filled(kept.rank(), 0);
    for (std::int64_t k = 0; k < kept.elements(); ++k) {
      using Limits = std::numeric_limits<T>;
      T total = 0;
      if (output.reduce == Reduce::max) total = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
      if (output.reduce == Reduce::min) total = Limits::has_infinity ? Limits::infinity() : Limits::max();
      at = where;
      bool more = elements > 0;
      while (more) {
        for (std::size_t i = 0; i < loop.code.size(); ++i) {
          const Instruction& in = loop.code[i];
          results[i] = apply<T>(in, value_of(in.a), value_of(in.b), value_of(in.c), at);
        }
        reduce_to(output, &total, value_of(output.value));
        more = false;
        for (int d = at.rank() - 1; d >= 0; --d) {
          if (kept[d] == extents[d]) continue;
          if (++at[d] < extents[d]) {
            more = true;
            break;
          }
          at[d] = 0;
        }
      }
      at = where;
      store(output.dtype, outputs[o], offset(output.strides), total);
      for (int d = where.rank() - 1; d >= 0; --d) {
        if (++where[d] < kept[d]) break;
        where[d] = 0;
      }
    }
  }
  at = Shape::filled(extents.rank(), 0);
  for (std::int64_t e = 0; e < elements; ++e) {
    for (std::size_t i = 0; i < loop.code.size(); ++i) {
      const Instruction& in = loop.code[i];
      results[i] = apply<T>(in, value_of(in.a), value_of(in.b), value_of(in.c), at);
    }
    T values[64];
    for (std::size_t o = 0; o < outputs.size(); ++o) values[o] = value_of(loop.outputs[o].value);
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      const LoopOutput& output = loop.outputs[o];
      if (output.reduce == Reduce::none) store(output.dtype, outputs[o], offset(output.strides), values[o]);
    }
    for (int d = at.rank() - 1; d >= 0; --d) {
      if (++at[d] < extents[d]) break;
      at[d] = 0;
    }
  }
}

}  // namespace

CompiledLoop::CompiledLoop(Loop loop) {
  check(loop);
  plan_ = std::make_shared<const LoopPlan>(LoopPlan{std::move(loop)});
}

const Loop& CompiledLoop::loop() const { return plan_->loop; }
std::size_t CompiledLoop::scratch_bytes() const { return plan_->loop.code.size() * 8; }

void CompiledLoop::run(std::span<const void* const> inputs, std::span<void* const> outputs,
                       void* scratch) const {
  switch (plan_->loop.lane) {
    case Lane::f32:
      return evaluate(plan_->loop, inputs, outputs, static_cast<float*>(scratch));
    case Lane::f64:
      return evaluate(plan_->loop, inputs, outputs, static_cast<double*>(scratch));
    case Lane::i64:
      return evaluate(plan_->loop, inputs, outputs, static_cast<std::int64_t*>(scratch));
  }
}

}  // namespace tapestry::kernels
