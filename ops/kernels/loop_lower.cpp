// From instructions to steps over slots: which operands are read where they are, which results are written
// straight to an output, what is computed once a chunk, and where in the arena the others live.
#include <tapestry/ops/kernels/loop_plan.hpp>
#include <tapestry/ops/kernels/loop_slots.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <utility>

namespace tapestry::kernels {
namespace {

/// What an operand has become.
struct Value {
  int slot = -1;
  bool scalar = false;
  bool steady = false;
  int pending = -1;  ///< the instruction, waiting to become one pass with the only one to use its result
};

class Lowering {
 public:
  Lowering(LoopPlan& plan, const Geometry& geometry)
      : plan_(plan), geometry_(geometry), loop_(plan.loop), block_{plan} {}

  bool run() {
    plan_.leaves.clear();
    plan_.steady_steps.clear();
    plan_.steps.clear();
    plan_.fulls.clear();
    plan_.reduceds.clear();
    plan_.constants.clear();
    claim_outputs();
    count_uses();
    for (std::size_t i = 0; i < loop_.code.size(); ++i) lower_instruction(i);
    for (std::size_t o = 0; o < loop_.outputs.size(); ++o) lower_output(o);
    find_clashes();
    return place();
  }

 private:
  // --- Values ---

  Value constant(const Operand& operand) {
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
    const Value value{.slot = slots_.add(), .scalar = true, .steady = true};
    slots_.set_offset(value.slot, LoopPlan::kConstant + std::int64_t(plan_.constants.size()) * kVectorBytes);
    plan_.constants.push_back(repeated);
    constant_keys_.push_back(key);
    constant_values_.push_back(value);
    return value;
  }

  Value leaf(int input, const Shape& strides) {
    Leaf leaf{.input = input};
    bool direct = false;
    if (input < 0) {
      leaf.iota = find_iota(loop_.lane);
    } else {
      const DType dtype = loop_.inputs[std::size_t(input)].dtype;
      leaf.element_bytes = std::int64_t(size_of(dtype));
      leaf.load = find_load(loop_.lane, dtype);
      direct = is_lane_dtype(dtype) && block_.is_dense(strides);
    }
    leaf.kind = !block_.moves_within(strides) ? Leaf::Kind::scalar
                : direct                      ? Leaf::Kind::direct
                                              : Leaf::Kind::tile;
    return add(leaf, strides);
  }

  Value random(const Instruction& instruction, const Shape& strides) {
    Leaf leaf{.kind = Leaf::Kind::tile, .input = instruction.a.index, .random = true};
    return add(leaf, strides);
  }

  Value add(Leaf& leaf, const Shape& strides) {
    leaf.strides = strides;
    leaf.steady = !block_.moves_between(strides);
    if (leaf.kind == Leaf::Kind::direct) {
      leaf.slot = slots_.add();
    } else {
      leaf.walk = block_.walk_of(strides);
      leaf.slot = slots_.add_memory(leaf.kind == Leaf::Kind::scalar, leaf.steady, -1);
    }
    plan_.leaves.push_back(leaf);
    return {.slot = leaf.slot, .scalar = leaf.kind == Leaf::Kind::scalar, .steady = leaf.steady};
  }

  bool is_lane_dtype(DType dtype) const {
    return dtype == (loop_.lane == Lane::f32   ? DType::f32
                     : loop_.lane == Lane::f64 ? DType::f64
                                               : DType::i64);
  }

  Value value_of(const Operand& operand) {
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

  /// Outputs that the instruction whose result they are can write itself.
  void claim_outputs() {
    claims_.assign(loop_.code.size(), -1);
    for (std::size_t o = 0; o < loop_.outputs.size(); ++o) {
      const Operand& value = loop_.outputs[o].value;
      if (can_be_direct(o) && value.kind == Operand::Kind::result && claims_[value.index] < 0) {
        claims_[value.index] = int(o);
      }
    }
  }

  bool can_be_direct(std::size_t o) const {
    const LoopOutput& output = loop_.outputs[o];
    return output.reduce == Reduce::none && is_lane_dtype(output.dtype) &&
           block_.is_dense(geometry_.outputs[o]);
  }

  void count_uses() {
    uses_.assign(loop_.code.size(), 0);
    const auto use = [&](const Operand& operand, int times) {
      if (operand.kind == Operand::Kind::result) uses_[operand.index] += times;
    };
    for (const Instruction& instruction : loop_.code) {
      const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
      for (int k = 0; k < arity_of(instruction.code); ++k) use(*operands[k], 1);
    }
    for (const LoopOutput& output : loop_.outputs) use(output.value, 2);  // never pending
  }

  void lower_instruction(std::size_t i) {
    const Instruction& instruction = loop_.code[i];
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
    const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
    std::vector<Value> values;
    for (int k = 0; k < arity_of(instruction.code); ++k) values.push_back(value_of(*operands[k]));
    operands_.resize(loop_.code.size());
    const bool waits = std::ranges::any_of(values, [](const Value& v) { return v.pending >= 0; });
    if (waits) {
      results_.push_back(combine(instruction.code, values, claims_[i]));
      return;
    }
    const bool varies =
        !std::ranges::all_of(values, &Value::scalar) && !std::ranges::all_of(values, &Value::steady);
    if (uses_[i] == 1 && varies && values.size() <= 2) {
      operands_[i] = values;
      results_.push_back({.pending = int(i)});
    } else {
      results_.push_back(emit(find_sweep(loop_.lane, instruction.code), values, claims_[i]));
    }
  }

  /// An instruction with operands that are pending: in one pass with one or two of them, if there is such a
  /// pass.
  Value combine(Code code, std::vector<Value>& values, int claim) {
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
    return emit(find_sweep(loop_.lane, code), values, claim);
  }

  /// The value, computed by now.
  Value settled(const Value& value) {
    if (value.pending < 0) return value;
    const auto i = std::size_t(value.pending);
    return results_[i] = emit(find_sweep(loop_.lane, loop_.code[i].code), operands_[i], -1);
  }

  Value emit(Sweep sweep, std::span<const Value> values, int claim, bool dense = false) {
    Value result{.scalar = !dense, .steady = true};
    for (const Value& value : values) {
      result.scalar &= value.scalar;
      result.steady &= value.steady;
    }
    if (claim >= 0 && !result.scalar) result.steady = false;  // each block of the output must be written
    Step step;
    step.sweep = sweep;
    step.scalar = result.scalar;
    auto& steps = result.steady ? plan_.steady_steps : plan_.steps;
    const int when = result.steady ? -1 : int(steps.size());
    for (const Value& value : values) {
      const auto k = std::size_t(step.operands++);
      step.slots[k] = value.slot;
      step.steps[k] = value.scalar ? 0 : 1;
      slots_.read(value.slot, when);
    }
    if (claim >= 0 && !result.scalar) {
      result.slot = slots_.add();
      direct_outputs_[std::size_t(claim)] = {result.slot, when};
    } else {
      result.slot = slots_.add_memory(result.scalar, result.steady, when);
    }
    step.result = result.slot;
    steps.push_back(step);
    return result;
  }

  Sweep copy() const { return find_sweep(loop_.lane, Code::copy); }

  /// The value as a block.
  Value dense(const Value& value) {
    if (!value.scalar) return value;
    const auto found = dense_.find(value.slot);
    if (found != dense_.end()) return found->second;
    return dense_[value.slot] = emit(copy(), std::span(&value, 1), -1, true);
  }

  void lower_output(std::size_t o) {
    const LoopOutput& output = loop_.outputs[o];
    const std::int64_t bytes = std::int64_t(size_of(output.dtype));
    const Shape& strides = geometry_.outputs[o];
    if (output.reduce != Reduce::none) return lower_reduction(o);
    FullOutput full{.output = int(o), .strides = strides, .element_bytes = bytes};
    if (!direct_outputs_.contains(o)) {
      const Value value = value_of(output.value);
      if (can_be_direct(o)) {
        emit(copy(), std::span(&value, 1), int(o), true);
      } else {
        full.slot = dense(value).slot;
        full.store = find_store(loop_.lane, output.dtype);
        full.walk = block_.walk_of(strides);
        slots_.read(full.slot, Slots::kEnd);
      }
    }
    if (direct_outputs_.contains(o)) {
      full.direct = true;
      full.slot = direct_outputs_[o].slot;
    }
    plan_.fulls.push_back(full);
  }

  void lower_reduction(std::size_t o) {
    const LoopOutput& output = loop_.outputs[o];
    const Shape& strides = geometry_.outputs[o];
    ReducedOutput reduced{.output = int(o), .slot = dense(value_of(output.value)).slot, .strides = strides};
    reduced.element_bytes = std::int64_t(size_of(output.dtype));
    reduced.reducer = &find_reducer(loop_.lane, output.reduce);
    reduced.store = find_store(loop_.lane, output.dtype);
    slots_.read(reduced.slot, Slots::kEnd);

    reduced.groups = 1;
    reduced.group_extents[0] = 1;
    reduced.group_kept[0] = strides[plan_.split] != 0;
    for (int d = plan_.split + 1; d < plan_.rank; ++d) {
      const auto last = std::size_t(reduced.groups - 1);
      const bool kept = strides[d] != 0;
      if (reduced.group_kept[last] == kept) {
        reduced.group_extents[last] *= plan_.extents[std::size_t(d)];
      } else {
        reduced.group_extents[last + 1] = plan_.extents[std::size_t(d)];
        reduced.group_kept[last + 1] = kept;
        ++reduced.groups;
      }
    }

    reduced.in_block = true;
    for (int d = 0; d <= plan_.split; ++d) reduced.in_block &= strides[d] != 0;
    std::int64_t stride = 1;
    for (int d = plan_.rank - 1; d >= 0; --d) {
      const auto i = std::size_t(d);
      if (strides[d] == 0) {
        reduced.parts *= plan_.parts[i];
        continue;
      }
      if (reduced.in_block && d < plan_.split) continue;
      reduced.accumulator_strides[i] = stride;
      stride *= reduced.in_block && d == plan_.split ? plan_.block_rows : plan_.piece[i];
    }
    reduced.accumulators = stride;
    plan_.reduceds.push_back(reduced);
  }

  /// Inputs that are read after an output was written, and could be the same memory.
  void find_clashes() {
    for (FullOutput& full : plan_.fulls) {
      if (!full.direct) continue;
      const int written = direct_outputs_[std::size_t(full.output)].when;
      for (const Leaf& leaf : plan_.leaves) {
        if (leaf.kind != Leaf::Kind::direct || leaf.strides != full.strides) continue;
        if (slots_.last_read(leaf.slot) > written) full.clashes.push_back(leaf.input);
      }
    }
  }

  /// Finds places in the arena and in scratch for everything.
  bool place() {
    const std::int64_t block = plan_.block_rows * plan_.row_elements * plan_.lane_bytes;
    Region arena = slots_.place(plan_.slot_offsets, block);
    for (FullOutput& full : plan_.fulls) {
      if (!full.clashes.empty()) full.staging = arena.take(block);
    }
    Region scratch;
    for (ReducedOutput& reduced : plan_.reduceds) {
      const std::int64_t bytes = reduced.accumulators * reduced.reducer->bytes * reduced.reducer->planes;
      reduced.offset = (reduced.in_block ? arena : scratch).take(bytes);
    }
    plan_.arena_bytes = arena.bytes;
    plan_.chunk_scratch = scratch.bytes;
    return arena.bytes <= kArenaBytes;
  }

  struct Direct {
    int slot;
    int when;
  };

  LoopPlan& plan_;
  const Geometry& geometry_;
  const Loop& loop_;
  const BlockShape block_;
  Slots slots_;
  std::map<int, Value> inputs_, dense_;
  std::vector<Value> results_;
  std::vector<std::vector<Value>> operands_;  // of pending instructions
  std::vector<int> uses_;
  std::vector<int> claims_;
  std::map<std::size_t, Direct> direct_outputs_;
  std::vector<std::pair<double, std::int64_t>> constant_keys_;
  std::vector<Value> constant_values_;
};

}  // namespace

bool lower(LoopPlan& plan, const Geometry& geometry) { return Lowering(plan, geometry).run(); }

}  // namespace tapestry::kernels
