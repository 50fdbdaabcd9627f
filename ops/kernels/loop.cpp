#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/loop.hpp>
#include <tapestry/ops/kernels/loop_plan.hpp>

#include <algorithm>
#include <array>
#include <sstream>
#include <type_traits>

namespace tapestry::kernels {
namespace {

struct CodeInfo {
  std::string_view name;
  int arity;
  bool integer;  // i64 lanes have it
};

constexpr std::array kCodes = std::to_array<CodeInfo>({
    {"copy", 1, true},        {"neg", 1, true},     {"abs", 1, true},         {"sign", 1, true},
    {"sqrt", 1, false},       {"exp", 1, false},    {"expm1", 1, false},      {"log", 1, false},
    {"log1p", 1, false},      {"sin", 1, false},    {"cos", 1, false},        {"tanh", 1, false},
    {"gelu_slope", 1, false}, {"erf", 1, false},    {"floor", 1, true},       {"logical_not", 1, true},
    {"is_finite", 1, true},   {"add", 2, true},     {"sub", 2, true},         {"mul", 2, true},
    {"div", 2, true},         {"pow", 2, false},    {"max", 2, true},         {"min", 2, true},
    {"eq", 2, true},          {"ne", 2, true},      {"lt", 2, true},          {"le", 2, true},
    {"gt", 2, true},          {"ge", 2, true},      {"logical_and", 2, true}, {"logical_or", 2, true},
    {"mul_no_nan", 2, true},  {"select", 3, true},  {"mul_add", 3, true},     {"index", 0, true},
    {"uniform", 1, false},    {"row_sum", 1, true}, {"row_max", 1, true},     {"row_min", 1, true},
    {"row_at", 2, true},
});
static_assert(kCodes.size() == std::size_t(Code::row_at) + 1);

const CodeInfo& info(Code code) { return kCodes[std::size_t(code)]; }

std::string_view name_of(Lane lane) {
  constexpr std::string_view names[] = {"f32", "f64", "i64"};
  return names[std::size_t(lane)];
}

/// What reads an operand, put into words only if something is wrong.
struct Reader {
  const Loop& loop;
  std::size_t instruction;  // or an output, if there is none
};
std::ostream& operator<<(std::ostream& out, const Reader& reader) {
  const std::size_t i = reader.instruction;
  if (i == reader.loop.code.size()) return out << "an output";
  return out << "instruction " << i << " (" << name_of(reader.loop.code[i].code) << ')';
}

void check_operand(const Operand& operand, const Reader& reader) {
  switch (operand.kind) {
    case Operand::Kind::none:
      fail(reader, " lacks an operand");
    case Operand::Kind::constant:
      break;
    case Operand::Kind::input:
      require(operand.index < reader.loop.inputs.size(), reader, " reads input ", operand.index, " of ",
              reader.loop.inputs.size());
      break;
    case Operand::Kind::result:
      require(operand.index < reader.instruction, reader, " reads result ", operand.index,
              " before it is computed");
      break;
  }
}

void check_rows(const Loop& loop) {
  const int rank = loop.extents.rank();
  if (loop.row) {
    require(*loop.row >= 0 && *loop.row <= rank, "a loop over ", loop.extents,
            " can't have rows from dimension ", *loop.row, " on");
    require(loop.extents.elements() > 0, "a loop over ", loop.extents, " can't have rows");
  }
  for (const Instruction& instruction : loop.code) {
    require(loop.row || !reduces_row(instruction.code), name_of(instruction.code), " in a loop without rows");
  }
  const RowValues same(loop);
  for (const Instruction& instruction : loop.code) {
    require(instruction.code != Code::row_at || same(instruction.b),
            "row_at of a number that differs within a row");
  }
  for (const LoopOutput& output : loop.outputs) {
    require(!output.per_row || (loop.row && same(output.value)),
            "an output for each row differs within a row");
  }
}

void check(const Loop& loop) {
  const int rank = loop.extents.rank();
  for (const std::int64_t extent : loop.extents)
    require(extent >= 0, "a loop can't have the extents ", loop.extents);
  const std::int64_t elements = loop.extents.elements();
  for (const LoopInput& input : loop.inputs) {
    require(input.strides.rank() == rank, "a loop over ", loop.extents, " has an input of strides ",
            input.strides);
  }
  for (std::size_t i = 0; i < loop.code.size(); ++i) {
    const Instruction& instruction = loop.code[i];
    const Reader reader{loop, i};
    require(loop.lane != Lane::i64 || info(instruction.code).integer, reader,
            " does not exist for i64 lanes");
    const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
    for (int k = 0; k < arity_of(instruction.code); ++k) check_operand(*operands[k], reader);
    if (instruction.code == Code::uniform) {
      const Operand& key = instruction.a;
      require(key.kind == Operand::Kind::input && loop.inputs[key.index].dtype == DType::i64 &&
                  loop.inputs[key.index].strides == Shape::filled(rank, 0),
              reader, " needs an i64 input with strides 0 as its key");
    }
    require(instruction.code != Code::index || instruction.dim < rank, reader, " names dimension ",
            int(instruction.dim), " of a loop over ", loop.extents);
  }
  for (const LoopOutput& output : loop.outputs) {
    check_operand(output.value, {loop, loop.code.size()});
    require(loop.lane != Lane::i64 || output.reduce != Reduce::squared_deviations,
            "squared deviations don't exist for i64 lanes");
    require(output.strides.rank() == rank, "a loop over ", loop.extents, " has an output of strides ",
            output.strides);
    for (int d = 0; d < rank; ++d) {
      const bool in_row = output.per_row && d >= loop.row.value_or(rank);
      require(!in_row || output.strides[d] == 0, "an output for each row moves along dimension ", d,
              " of a loop over ", loop.extents, " within a row");
      require(output.reduce != Reduce::none || output.strides[d] != 0 || loop.extents[d] == 1 ||
                  elements == 0 || in_row,
              "an output that is not reduced has stride 0 along dimension ", d, " of a loop over ",
              loop.extents);
    }
  }
  check_rows(loop);
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

// A loop over no elements stores what its reductions start from.
void store_identities(const Loop& loop, std::span<void* const> outputs) {
  for (std::size_t o = 0; o < loop.outputs.size(); ++o) {
    const LoopOutput& output = loop.outputs[o];
    if (output.reduce == Reduce::none) continue;
    const Reducer& reducer = find_reducer(loop.lane, output.reduce);
    alignas(kVectorBytes) std::byte accumulator[kMostPlanes * sizeof(double)], result[sizeof(double)];
    reducer.clear(accumulator, 1, 1);
    reducer.finish(accumulator, 1, 1, result);
    Shape kept = loop.extents;
    for (int d = 0; d < kept.rank(); ++d) {
      if (output.strides[d] == 0) kept[d] = 1;
    }
    const std::int64_t count = kept.elements();
    for (std::int64_t n = 0; n < count; ++n) {
      std::int64_t rest = n, offset = 0;
      for (int d = kept.rank() - 1; d >= 0; --d) {
        offset += rest % kept[d] * output.strides[d];
        rest /= kept[d];
      }
      find_store(loop.lane, output.dtype)(
          result, static_cast<std::byte*>(outputs[o]) + offset * std::int64_t(size_of(output.dtype)), 0, 1, 1,
          1);
    }
  }
}

}  // namespace

std::string_view name_of(Code code) { return info(code).name; }
int arity_of(Code code) { return info(code).arity; }
Code row_code(Reduce reduce) { return Code(int(Code::row_sum) + int(reduce) - int(Reduce::sum)); }

std::int64_t row_values_that_fit(std::int64_t row_elements, Lane lane) {
  // Each may need memory for the row, for one value of it, and for that repeated.
  return kArenaBytes / (row_elements * (lane == Lane::f32 ? 4 : 8) + 4 * kVectorBytes);
}

std::int64_t elements_of_row(const Loop& loop) {
  std::int64_t product = 1;
  for (int d = loop.row.value_or(loop.extents.rank()); d < loop.extents.rank(); ++d)
    product *= loop.extents[d];
  return product;
}

RowValues::RowValues(const Loop& loop) : loop_(loop) {
  for (const Instruction& instruction : loop.code) {
    bool same = loop.row.has_value();
    if (instruction.code == Code::index) {
      same = same && instruction.dim < *loop.row;
    } else if (instruction.code == Code::uniform) {
      same = false;
    } else if (!reduces_row(instruction.code)) {
      const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
      for (int k = 0; k < arity_of(instruction.code); ++k) same = same && (*this)(*operands[k]);
    }
    results_.push_back(same);
  }
}

bool RowValues::operator()(const Operand& operand) const {
  if (operand.kind == Operand::Kind::result) return results_[operand.index];
  if (operand.kind != Operand::Kind::input) return true;
  const Shape& strides = loop_.inputs[operand.index].strides;
  return loop_.row && std::all_of(strides.begin() + *loop_.row, strides.end(), [](auto s) { return s == 0; });
}

Operand Operand::constant(double value) {
  const bool fits = value >= -0x1p63 && value < 0x1p63;
  return {Kind::constant, 0, value, fits ? std::int64_t(value) : 0};
}

std::string to_string(const Loop& loop) {
  std::ostringstream out;
  out << "loop over " << loop.extents << " in " << name_of(loop.lane);
  if (loop.row) out << ", rows from dimension " << *loop.row;
  out << '\n';
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
  constexpr std::string_view reductions[] = {"", "sum of ", "max of ", "min of ", "squared deviations of "};
  for (std::size_t i = 0; i < loop.outputs.size(); ++i) {
    const LoopOutput& output = loop.outputs[i];
    out << "  out" << i << ": " << reductions[std::size_t(output.reduce)] << to_text(output.value, loop.lane)
        << " as " << name_of(output.dtype) << " strides " << output.strides
        << (output.per_row ? " for each row" : "") << '\n';
  }
  return std::move(out).str();
}

namespace {

/// Puts numbers down one after the other.
class Writer {
 public:
  template <class T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void operator()(T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void operator()(const Shape& shape) {
    (*this)(shape.rank());
    for (const std::int64_t extent : shape) (*this)(extent);
  }
  void operator()(const Operand& operand) {
    (*this)(operand.kind);
    (*this)(operand.index);
    if (operand.kind != Operand::Kind::constant) return;
    (*this)(operand.value);
    (*this)(operand.integer);
  }
  std::string out;
};

}  // namespace

std::string identity_of(const Loop& loop) {
  Writer write;
  write(loop.extents);
  write(loop.lane);
  write(loop.row.value_or(-1));
  write(loop.inputs.size());
  for (const LoopInput& input : loop.inputs) {
    write(input.dtype);
    write(input.strides);
  }
  write(loop.code.size());
  for (const Instruction& instruction : loop.code) {
    write(instruction.code);
    write(instruction.dim);
    for (const Operand* operand : {&instruction.a, &instruction.b, &instruction.c}) write(*operand);
  }
  for (const LoopOutput& output : loop.outputs) {
    write(output.value);
    write(output.dtype);
    write(output.reduce);
    write(output.strides);
    write(output.per_row);
  }
  return std::move(write.out);
}

CompiledLoop::CompiledLoop(const Loop& loop, Use use) {
  check(loop);
  std::optional<LoopPlan> plan = make_plan(loop, use);
  require(plan.has_value(), "the values of a fused loop with ", loop.code.size(), " instructions, ",
          loop.inputs.size(), " inputs and rows of ", elements_of_row(loop), " elements don't fit into ",
          kArenaBytes / 1024, " KiB");
  plan_ = std::make_shared<const LoopPlan>(std::move(*plan));
}

bool CompiledLoop::fits(const Loop& loop) {
  check(loop);
  // Most have room to spare, outputs that are staged or summed up in panels included.
  const std::size_t values = loop.inputs.size() + 3 * loop.code.size() + 2 * loop.outputs.size();
  if (std::int64_t(values) <= row_values_that_fit(elements_of_row(loop), loop.lane)) return true;
  return make_plan(loop).has_value();
}

const Loop& CompiledLoop::loop() const { return plan_->loop; }

std::size_t CompiledLoop::scratch_bytes() const {
  // One chunk that keeps its results in its arena needs none.
  return std::size_t(plan_->chunk_scratch * plan_->chunks);
}

void CompiledLoop::run(std::span<const void* const> inputs, std::span<void* const> outputs,
                       void* scratch) const {
  if (plan_->empty) {
    store_identities(plan_->loop, outputs);
  } else {
    run_plan(*plan_, inputs, outputs, static_cast<std::byte*>(scratch));
  }
}

void CompiledLoop::run_rows(const Rows& rows, const PartOfInput& part, std::span<const void* const> inputs,
                            std::span<void* const> outputs) const {
  if (!plan_->empty) kernels::run_rows(*plan_, rows, part, inputs, outputs);
}

}  // namespace tapestry::kernels
