// From instructions to steps over slots: which operands are read where they are, which results are written
// straight to an output, what is computed once a chunk or once a row, and where in the arena the others live.
#include <tapestry/ops/kernels/loop_lowering.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace tapestry::kernels {
bool Lowering::run() {
  plan_.leaves.clear();
  plan_.steady_steps.clear();
  plan_.steps.clear();
  plan_.fulls.clear();
  plan_.reduceds.clear();
  plan_.constants.clear();
  plan_.segments.clear();
  plan_.joined = {};
  claim_outputs();
  count_uses();
  for (std::size_t i = 0; i < loop_.code.size(); ++i) lower_instruction(i);
  for (std::size_t o = 0; o < loop_.outputs.size(); ++o) lower_output(o);
  share_moments();
  if (plan_.assembles) gather_segments();
  find_clashes();
  join_steps();
  return place();
}

bool lower(LoopPlan& plan, const Geometry& geometry) { return Lowering(plan, geometry).run(); }

// --- Values ---

Value Lowering::constant(const Operand& operand) {
  const auto key = std::pair(operand.value, operand.integer);
  for (std::size_t i = 0; i < constant_keys_.size(); ++i) {
    // Not ==: -0 is not 0, and a NaN is itself.
    if (std::memcmp(&constant_keys_[i], &key, sizeof key) == 0) return constant_values_[i];
  }
  LoopPlan::Constant repeated{};
  const auto fill = [&](auto value) {
    for (std::size_t at = 0; at < repeated.bytes.size(); at += sizeof value) {
      std::memcpy(&repeated.bytes[at], &value, sizeof value);
    }
  };
  if (loop_.lane == Lane::f32) fill(float(operand.value));
  if (loop_.lane == Lane::f64) fill(operand.value);
  if (loop_.lane == Lane::i64) fill(operand.integer);
  const Value value{.slot = slots_.add(), .level = Level::block, .steady = true};
  slots_.set_offset(value.slot, LoopPlan::kConstant + std::int64_t(plan_.constants.size()) * kVectorBytes);
  plan_.constants.push_back(repeated);
  constant_keys_.push_back(key);
  constant_values_.push_back(value);
  return value;
}

Value Lowering::leaf(int input, const Shape& strides) {
  Leaf leaf{.level = block_.level_of(strides), .input = input};
  bool direct = false;
  if (input < 0) {
    leaf.iota = find_iota(loop_.lane);
  } else {
    const DType dtype = loop_.inputs[std::size_t(input)].dtype;
    leaf.element_bytes = std::int64_t(size_of(dtype));
    leaf.load = find_load(loop_.lane, dtype);
    direct = is_lane_dtype(dtype) && block_.is_dense(strides, leaf.level);
  }
  leaf.kind = leaf.level == Level::block ? Leaf::Kind::scalar
              : direct                   ? Leaf::Kind::direct
                                         : Leaf::Kind::tile;
  return add(leaf, strides);
}

Value Lowering::random(const Instruction& instruction, const Shape& strides) {
  Leaf leaf{.kind = Leaf::Kind::tile, .input = instruction.a.index, .random = true};
  return add(leaf, strides);
}

Value Lowering::add(Leaf& leaf, const Shape& strides) {
  leaf.strides = strides;
  leaf.steady = !block_.moves_between(strides);
  if (leaf.kind == Leaf::Kind::direct) {
    leaf.slot = slots_.add();
  } else {
    leaf.walk = block_.walk_of(strides, leaf.level);
    const std::int64_t slack = leaf.random ? 8 * plan_.lane_bytes : 0;  // for whole counters
    leaf.slot = slots_.add_memory(block_.bytes(leaf.level) + slack, leaf.steady, Slots::kBegin);
  }
  plan_.leaves.push_back(leaf);
  return {.slot = leaf.slot, .level = leaf.level, .steady = leaf.steady};
}

DType Lowering::lane_dtype() const {
  return loop_.lane == Lane::f32 ? DType::f32 : loop_.lane == Lane::f64 ? DType::f64 : DType::i64;
}

Value Lowering::value_of(const Operand& operand) {
  switch (operand.kind) {
    case Operand::Kind::constant:
      return constant(operand);
    case Operand::Kind::result:
      return results_[operand.index];
    case Operand::Kind::none:
      break;
    case Operand::Kind::input: {
      const auto found = inputs_.find(operand.index);
      if (found != inputs_.end()) return found->second;
      return inputs_[operand.index] = leaf(operand.index, geometry_.inputs[operand.index]);
    }
  }
  return {};
}

// --- Steps ---

void Lowering::count_uses() {
  uses_.assign(loop_.code.size(), 0);
  const auto use = [&](const Operand& operand, int times) {
    if (operand.kind == Operand::Kind::result) uses_[operand.index] += times;
  };
  for (const LoopOutput& output : loop_.outputs) use(output.value, 2);  // never pending
  for (std::size_t i = loop_.code.size(); i-- > 0;) {
    const Instruction& instruction = loop_.code[i];
    if (uses_[i] == 0) continue;
    // What reads a whole row takes no part of a pass.
    const int times = reduces_row(instruction.code) ? 2 : 1;
    const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
    for (int k = 0; k < arity_of(instruction.code); ++k) use(*operands[k], times);
  }
}

void Lowering::lower_instruction(std::size_t i) {
  const Instruction& instruction = loop_.code[i];
  operands_.resize(loop_.code.size());
  if (uses_[i] == 0) {
    results_.push_back({});
    return;
  }
  if (instruction.code == Code::index) {
    results_.push_back(leaf(-1, geometry_.positions[i]));
    return;
  }
  if (instruction.code == Code::uniform) {
    results_.push_back(random(instruction, geometry_.positions[i]));
    return;
  }
  if (instruction.code == Code::row_at) {
    results_.push_back(emit_pick(value_of(instruction.a), value_of(instruction.b), claims_[i]));
    return;
  }
  if (reduces_row(instruction.code)) {
    const auto reduce = Reduce(int(instruction.code) - int(Code::row_sum) + int(Reduce::sum));
    results_.push_back(emit_fold(reduce, value_of(instruction.a), claims_[i]));
    return;
  }
  const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
  std::vector<Value> values;
  for (int k = 0; k < arity_of(instruction.code); ++k) values.push_back(value_of(*operands[k]));
  Level level = Level::block;
  for (const Value& value : values) level = std::max(level, value.level);
  // What is computed once a row isn't to be computed for each element.
  for (Value& value : values) {
    if (value.level < level) value = settled(value);
  }
  if (std::ranges::any_of(values, [](const Value& v) { return v.pending >= 0; })) {
    results_.push_back(combine(instruction.code, values, claims_[i]));
  } else if (may_wait(i, values)) {
    operands_[i] = values;
    results_.push_back({.level = level, .pending = int(i)});
  } else {
    results_.push_back(emit(instruction.code, values, claims_[i]));
  }
}

bool Lowering::may_wait(std::size_t i, std::span<const Value> values) const {
  const bool varies = std::ranges::any_of(values, [](const Value& v) { return v.level != Level::block; }) &&
                      !std::ranges::all_of(values, &Value::steady);
  return !plan_.assembles && uses_[i] == 1 && varies && values.size() <= 2;
}

/// An instruction with operands that are pending: in one pass with one or two of them, if there is such a
/// pass.
Value Lowering::combine(Code code, std::span<Value> values, int claim) {
  const auto code_of = [&](const Value& value) { return loop_.code[std::size_t(value.pending)].code; };
  const auto operands_of = [&](const Value& value) { return operands_[std::size_t(value.pending)]; };
  if (values.size() == 2 && values[0].pending >= 0 && values[1].pending >= 0) {
    if (const Sweep sweep = find_tree(loop_.lane, code_of(values[0]), code_of(values[1]), code)) {
      std::vector<Value> all = operands_of(values[0]);
      for (const Value& value : operands_of(values[1])) all.push_back(value);
      return emit(sweep, all, claim);
    }
  }
  for (std::size_t k = 0; k < values.size() && values.size() <= 2; ++k) {
    if (values[k].pending < 0) continue;
    const Sweep sweep = find_pair(loop_.lane, code_of(values[k]), code, k == 1);
    if (!sweep) continue;
    std::vector<Value> all = operands_of(values[k]);
    if (values.size() == 2) all.push_back(settled(values[1 - k]));
    return emit(sweep, all, claim);
  }
  for (Value& value : values) value = settled(value);
  return emit(code, values, claim);
}

/// The value, computed by now.
Value Lowering::settled(const Value& value) {
  if (value.pending < 0) return value;
  const auto i = std::size_t(value.pending);
  return results_[i] = emit(loop_.code[i].code, operands_[i], kNoClaim);
}

Value Lowering::emit(Code code, std::span<const Value> values, int claim) {
  Step step{.level = Level::block, .sweep = find_sweep(loop_.lane, code), .code = code};
  for (const Value& value : values) step.level = std::max(step.level, value.level);
  // What is computed once a chunk stays a sweep.
  const bool steady = claim == kNoClaim && std::ranges::all_of(values, &Value::steady);
  if (plan_.assembles && step.level == Level::element && !steady && can_assemble(code)) {
    step.kind = Step::Kind::single;
  }
  return emit_step(step, values, claim);
}

Value Lowering::emit(Sweep sweep, std::span<const Value> values, int claim) {
  Step step{.level = Level::block, .sweep = sweep};
  for (const Value& value : values) step.level = std::max(step.level, value.level);
  return emit_step(step, values, claim);
}

Value Lowering::emit_step(Step step, std::span<const Value> values, int claim) {
  std::vector<Value> operands(values.begin(), values.end());
  for (std::size_t k = 0; k < operands.size(); ++k) {
    Value& value = operands[k];
    if (value.level == Level::row && step.level == Level::element) {
      if (plan_.row_elements >= kLongRow) {
        if (step.kind == Step::Kind::single) continue;
        step.kind = Step::Kind::each_row;
        value = vectors(value);
        step.strides[k] = kVectorBytes;
        continue;
      }
      value = raised(value, Level::element);
    }
    if (value.level == Level::block) continue;
    step.steps[k] = 1;
    step.strides[k] = plan_.row_elements * plan_.lane_bytes;
  }
  return finish_step(step, operands, {.level = step.level}, block_.bytes(step.level), claim);
}

Value Lowering::emit_fold(Reduce reduce, const Value& value, int claim) {
  Step step{.kind = Step::Kind::fold, .level = Level::row, .reducer = &find_reducer(loop_.lane, reduce)};
  const Value row = raised(value, Level::element);
  return finish_step(step, std::span(&row, 1), {.level = Level::row}, block_.bytes(Level::row), claim);
}

Value Lowering::emit_pick(const Value& value, const Value& number, int claim) {
  Step step{.kind = Step::Kind::pick, .level = Level::row, .load = find_load(loop_.lane, lane_dtype())};
  step.steps[0] = plan_.lane_bytes;
  step.strides[0] = plan_.row_elements * plan_.lane_bytes;
  const Value operands[] = {raised(value, Level::element), raised(number, Level::row)};
  return finish_step(step, operands, {.level = Level::row}, block_.bytes(Level::row), claim);
}

Value Lowering::emit_repeat(const Value& value, std::int64_t repeats, int claim) {
  Step step{.kind = Step::Kind::repeat, .level = Level::row, .load = find_load(loop_.lane, lane_dtype())};
  step.repeats = repeats;
  return finish_step(step, std::span(&value, 1), {.level = Level::element},
                     block_.bytes(Level::row) * repeats, claim);
}

/// Adds a step and the slot of its result: of so many bytes in the arena, unless it can be in the output that
/// it claims.
Value Lowering::finish_step(Step& step, std::span<const Value> operands, Value result, std::int64_t bytes,
                            int claim) {
  const bool claims = claim != kNoClaim && result.level == level_of(loop_.outputs[std::size_t(claim)]);
  // Each block of an output must be written.
  result.steady = !claims && std::ranges::all_of(operands, &Value::steady);
  auto& steps = result.steady ? plan_.steady_steps : plan_.steps;
  if (result.steady && step.kind == Step::Kind::single) step.kind = Step::Kind::sweep;
  const int when = result.steady ? Slots::kBegin : int(steps.size());
  for (const Value& value : operands) {
    step.levels[std::size_t(step.operands)] = value.level;
    step.slots[std::size_t(step.operands++)] = value.slot;
    slots_.read(value.slot, when);
  }
  if (claims) {
    result.slot = slots_.add();
    direct_outputs_[std::size_t(claim)] = {result.slot, when};
  } else {
    result.slot = slots_.add_memory(bytes, result.steady, when);
  }
  step.result = result.slot;
  steps.push_back(step);
  return result;
}

Value Lowering::raised(const Value& value, Level level) {
  if (value.level >= level) return value;
  const auto key = std::pair(value.slot, level);
  if (const auto found = raised_.find(key); found != raised_.end()) return found->second;
  return raised_[key] = raise(value, level, kNoClaim);
}

Value Lowering::raise(const Value& value, Level level, int claim) {
  if (value.level == Level::row) return emit_repeat(value, plan_.row_elements, claim);
  Step step{.level = level, .sweep = find_sweep(loop_.lane, Code::copy)};
  if (plan_.assembles && level == Level::element) step.kind = Step::Kind::single;
  return finish_step(step, std::span(&value, 1), {.level = level}, block_.bytes(level), claim);
}

Value Lowering::vectors(const Value& value) {
  if (const auto found = vectors_.find(value.slot); found != vectors_.end()) return found->second;
  return vectors_[value.slot] = emit_repeat(value, block_.count(Level::block), kNoClaim);
}

}  // namespace tapestry::kernels
