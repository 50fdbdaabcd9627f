// From instructions to steps over slots: which operands are read where they are, which results are written
// straight to an output, what is computed once a chunk, and where in the arena the others live.
#include <tapestry/ops/kernels/loop_plan.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <utility>

namespace tapestry::kernels {
namespace {

constexpr int kEnd = std::numeric_limits<int>::max();  // after the last step

/// A block in the arena, or one vector of it, from the step that writes it to the last that reads it.
struct Need {
  int slot;
  bool vector;
  bool kept;  // for the whole chunk
  int first;
  int last;
};

/// What an operand has become.
struct Value {
  int slot = -1;
  bool scalar = false;
  bool steady = false;
};

class Lowering {
 public:
  Lowering(LoopPlan& plan, const Geometry& geometry) : plan_(plan), geometry_(geometry), loop_(plan.loop) {}

  bool run() {
    plan_.leaves.clear();
    plan_.steady_steps.clear();
    plan_.steps.clear();
    plan_.fulls.clear();
    plan_.reduceds.clear();
    plan_.slot_offsets.clear();
    plan_.constants.clear();
    claim_outputs();
    for (std::size_t i = 0; i < loop_.code.size(); ++i) lower_instruction(i);
    for (std::size_t o = 0; o < loop_.outputs.size(); ++o) lower_output(o);
    find_clashes();
    return place();
  }

 private:
  // --- What the block looks like ---

  bool moves_within_block(const Shape& strides) const {
    if (plan_.block_rows > 1 && strides[plan_.split] != 0) return true;
    for (int d = plan_.split + 1; d < plan_.rank; ++d) {
      if (strides[d] != 0) return true;
    }
    return false;
  }

  bool moves_between_blocks(const Shape& strides) const {
    return std::any_of(strides.begin(), strides.begin() + plan_.split + 1, [](auto s) { return s != 0; });
  }

  bool is_dense(const Shape& strides) const {
    std::int64_t expected = 1;
    for (int d = plan_.rank - 1; d > plan_.split; --d) {
      if (strides[d] != expected) return false;
      expected *= extent(d);
    }
    return plan_.block_rows == 1 || strides[plan_.split] == expected;
  }

  std::int64_t extent(int dim) const { return plan_.extents[std::size_t(dim)]; }

  Walk walk_of(const Shape& strides) const {
    Walk walk;
    walk.rank = 1;
    walk.extents[0] = 1;
    walk.strides[0] = strides[plan_.split];
    for (int d = plan_.split + 1; d < plan_.rank; ++d) {
      const auto last = std::size_t(walk.rank - 1);
      if (walk.strides[last] == strides[d] * extent(d)) {
        walk.extents[last] *= extent(d);
        walk.strides[last] = strides[d];
      } else {
        walk.extents[last + 1] = extent(d);
        walk.strides[last + 1] = strides[d];
        ++walk.rank;
      }
    }
    return walk;
  }

  // --- Slots ---

  int new_slot() {
    plan_.slot_offsets.push_back(-1);
    return int(plan_.slot_offsets.size()) - 1;
  }

  int new_need(bool vector, bool kept, int first) {
    const int slot = new_slot();
    needs_.push_back({slot, vector, kept, first, first});
    need_of_slot_[slot] = needs_.size() - 1;
    return slot;
  }

  void read(int slot, int when) {
    if (const auto found = need_of_slot_.find(slot); found != need_of_slot_.end()) {
      Need& need = needs_[found->second];
      need.last = std::max(need.last, when);
    }
    auto& last = last_read_.try_emplace(slot, when).first->second;
    last = std::max(last, when);
  }

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
    const Value value{.slot = new_slot(), .scalar = true, .steady = true};
    plan_.slot_offsets.back() = LoopPlan::kConstant + std::int64_t(plan_.constants.size()) * kVectorBytes;
    plan_.constants.push_back(repeated);
    constant_keys_.push_back(key);
    constant_values_.push_back(value);
    return value;
  }

  Value leaf(int input, const Shape& strides) {
    Leaf leaf;
    leaf.input = input;
    leaf.strides = strides;
    leaf.steady = !moves_between_blocks(strides);
    bool direct = false;
    if (input < 0) {
      leaf.iota = find_iota(loop_.lane);
    } else {
      const DType dtype = loop_.inputs[std::size_t(input)].dtype;
      leaf.element_bytes = std::int64_t(size_of(dtype));
      leaf.load = find_load(loop_.lane, dtype);
      direct = is_lane_dtype(dtype) && is_dense(strides);
    }
    leaf.kind = !moves_within_block(strides) ? Leaf::Kind::scalar
                : direct                     ? Leaf::Kind::direct
                                             : Leaf::Kind::tile;
    if (leaf.kind == Leaf::Kind::direct) {
      leaf.slot = new_slot();
    } else {
      leaf.walk = walk_of(strides);
      leaf.slot = new_need(leaf.kind == Leaf::Kind::scalar, leaf.steady, -1);
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
    return output.reduce == Reduce::none && is_lane_dtype(output.dtype) && is_dense(geometry_.outputs[o]);
  }

  void lower_instruction(std::size_t i) {
    const Instruction& instruction = loop_.code[i];
    if (instruction.code == Code::index) {
      results_.push_back(leaf(-1, geometry_.positions[i]));
      return;
    }
    const Operand* operands[] = {&instruction.a, &instruction.b, &instruction.c};
    std::array<Value, 3> values;
    const int count = arity_of(instruction.code);
    for (int k = 0; k < count; ++k) values[std::size_t(k)] = value_of(*operands[k]);
    results_.push_back(emit(instruction.code, std::span(values).first(std::size_t(count)), claims_[i]));
  }

  Value emit(Code code, std::span<const Value> values, int claim, bool dense = false) {
    Value result{.scalar = !dense, .steady = true};
    for (const Value& value : values) {
      result.scalar &= value.scalar;
      result.steady &= value.steady;
    }
    if (claim >= 0 && !result.scalar) result.steady = false;  // each block of the output must be written
    Step step;
    step.sweep = find_sweep(loop_.lane, code);
    step.scalar = result.scalar;
    auto& steps = result.steady ? plan_.steady_steps : plan_.steps;
    const int when = result.steady ? -1 : int(steps.size());
    for (const Value& value : values) {
      const auto k = std::size_t(step.operands++);
      step.slots[k] = value.slot;
      step.steps[k] = value.scalar ? 0 : 1;
      read(value.slot, when);
    }
    if (claim >= 0 && !result.scalar) {
      result.slot = new_slot();
      direct_outputs_[std::size_t(claim)] = {result.slot, when};
    } else {
      result.slot = new_need(result.scalar, result.steady, when);
    }
    step.result = result.slot;
    steps.push_back(step);
    return result;
  }

  /// The value as a block.
  Value dense(const Value& value) {
    if (!value.scalar) return value;
    const auto found = dense_.find(value.slot);
    if (found != dense_.end()) return found->second;
    return dense_[value.slot] = emit(Code::copy, std::span(&value, 1), -1, true);
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
        emit(Code::copy, std::span(&value, 1), int(o), true);
      } else {
        full.slot = dense(value).slot;
        full.store = find_store(loop_.lane, output.dtype);
        full.walk = walk_of(strides);
        read(full.slot, kEnd);
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
    read(reduced.slot, kEnd);

    reduced.groups = 1;
    reduced.group_extents[0] = 1;
    reduced.group_kept[0] = strides[plan_.split] != 0;
    for (int d = plan_.split + 1; d < plan_.rank; ++d) {
      const auto last = std::size_t(reduced.groups - 1);
      const bool kept = strides[d] != 0;
      if (reduced.group_kept[last] == kept) {
        reduced.group_extents[last] *= extent(d);
      } else {
        reduced.group_extents[last + 1] = extent(d);
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
        if (const auto found = last_read_.find(leaf.slot);
            found != last_read_.end() && found->second > written) {
          full.clashes.push_back(leaf.input);
        }
      }
    }
  }

  // --- The arena ---

  bool place() {
    std::int64_t top = 0;
    const auto take = [&](std::int64_t bytes) {
      const std::int64_t at = top;
      top += (bytes + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
      return at;
    };
    const std::int64_t block = plan_.block_rows * plan_.row_elements * plan_.lane_bytes;
    take(std::int64_t(plan_.slot_offsets.size() * sizeof(void*)));
    for (const Need& need : needs_) {
      if (need.vector) plan_.slot_offsets[std::size_t(need.slot)] = take(kVectorBytes);
    }
    std::vector<std::pair<int, std::int64_t>> busy;  // until after this step
    std::vector<std::int64_t> free;
    std::vector<Need> blocks;
    for (const Need& need : needs_) {
      if (!need.vector) blocks.push_back(need);
    }
    std::ranges::stable_sort(blocks, {}, &Need::first);
    for (const Need& need : blocks) {
      // What is read for the last time by the step that writes this may be overwritten by it.
      std::erase_if(busy, [&](const auto& b) {
        if (b.first > need.first) return false;
        free.push_back(b.second);
        return true;
      });
      std::int64_t at;
      if (free.empty()) {
        at = take(block);
      } else {
        at = free.back();
        free.pop_back();
      }
      plan_.slot_offsets[std::size_t(need.slot)] = at;
      busy.emplace_back(need.kept ? kEnd : std::max(need.last, need.first + 1), at);
    }
    for (FullOutput& full : plan_.fulls) {
      if (!full.clashes.empty()) full.staging = take(block);
    }
    plan_.chunk_scratch = 0;
    for (ReducedOutput& reduced : plan_.reduceds) {
      const std::int64_t bytes = reduced.accumulators * reduced.reducer->bytes * reduced.reducer->planes;
      if (reduced.in_block) {
        reduced.offset = take(bytes);
      } else {
        reduced.offset = plan_.chunk_scratch;
        plan_.chunk_scratch += (bytes + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
      }
    }
    plan_.arena_bytes = top;
    return top <= kArenaBytes;
  }

  struct Direct {
    int slot;
    int when;
  };

  LoopPlan& plan_;
  const Geometry& geometry_;
  const Loop& loop_;
  std::vector<Need> needs_;
  std::map<int, std::size_t> need_of_slot_;
  std::map<int, int> last_read_;
  std::map<int, Value> inputs_, dense_;
  std::vector<Value> results_;
  std::vector<int> claims_;
  std::map<std::size_t, Direct> direct_outputs_;
  std::vector<std::pair<double, std::int64_t>> constant_keys_;
  std::vector<Value> constant_values_;
};

}  // namespace

bool lower(LoopPlan& plan, const Geometry& geometry) { return Lowering(plan, geometry).run(); }

}  // namespace tapestry::kernels
