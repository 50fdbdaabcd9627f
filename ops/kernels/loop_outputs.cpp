// What becomes of a loop's results: stored as they are computed, converted at the end of a block, or reduced.
#include <tapestry/ops/kernels/loop_lowering.hpp>

#include <algorithm>

namespace tapestry::kernels {

/// Outputs that the instruction whose result they are can write itself.
void Lowering::claim_outputs() {
  claims_.assign(loop_.code.size(), kNoClaim);
  for (std::size_t o = 0; o < loop_.outputs.size(); ++o) {
    const Operand& value = loop_.outputs[o].value;
    if (can_be_direct(o) && value.kind == Operand::Kind::result && claims_[value.index] == kNoClaim) {
      claims_[value.index] = int(o);
    }
  }
}

bool Lowering::can_be_direct(std::size_t o) const {
  const LoopOutput& output = loop_.outputs[o];
  return output.reduce == Reduce::none && is_lane_dtype(output.dtype) &&
         block_.is_dense(geometry_.outputs[o], level_of(output));
}

void Lowering::lower_output(std::size_t o) {
  const LoopOutput& output = loop_.outputs[o];
  const std::int64_t bytes = std::int64_t(size_of(output.dtype));
  const Shape& strides = geometry_.outputs[o];
  if (output.reduce != Reduce::none) return lower_reduction(o);
  const Level level = level_of(output);
  FullOutput full{.output = int(o), .level = level, .strides = strides, .element_bytes = bytes};
  if (!direct_outputs_.contains(o)) {
    const Value value = value_of(output.value);
    if (can_be_direct(o)) {
      value.level == level ? emit(Code::copy, std::span(&value, 1), int(o)) : raise(value, level, int(o));
    } else {
      full.slot = raised(value, level).slot;
      full.store = find_store(loop_.lane, output.dtype);
      full.walk = block_.walk_of(strides, level);
      slots_.read(full.slot, Slots::kEnd);
    }
  }
  if (direct_outputs_.contains(o)) {
    full.direct = true;
    full.streams = plan_.streams && level == Level::element;
    full.slot = direct_outputs_[o].slot;
  }
  plan_.fulls.push_back(full);
}

void Lowering::lower_reduction(std::size_t o) {
  const LoopOutput& output = loop_.outputs[o];
  const Shape& strides = geometry_.outputs[o];
  const Level level = level_of(output);
  const int end = level == Level::row ? plan_.row : plan_.rank;
  ReducedOutput reduced{.output = int(o), .level = level, .strides = strides};
  reduced.slot = raised(value_of(output.value), level).slot;
  reduced.element_bytes = std::int64_t(size_of(output.dtype));
  reduced.reducer = &find_reducer(loop_.lane, output.reduce);
  reduced.store = find_store(loop_.lane, output.dtype);
  slots_.read(reduced.slot, Slots::kEnd);

  reduced.groups = 1;
  reduced.group_extents[0] = 1;
  reduced.group_kept[0] = strides[plan_.split] != 0;
  for (int d = plan_.split + 1; d < end; ++d) {
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
    stride *= reduced.in_block && d == plan_.split ? plan_.block_slices : plan_.piece[i];
  }
  reduced.accumulators = stride;
  plan_.reduceds.push_back(reduced);
}

/// Sums of f32 whose squared deviations are gathered, too, come from the same accumulators. (Those of f64 are
/// more exact by themselves.)
void Lowering::share_moments() {
  if (loop_.lane != Lane::f32) return;
  const MomentReducers& moments = find_moments(loop_.lane);
  const auto has_deviations = [&](const ReducedOutput& reduced) {
    return reduced.reducer == &moments.squared_deviations;
  };
  std::ranges::stable_partition(plan_.reduceds, has_deviations);
  for (ReducedOutput& sum : plan_.reduceds) {
    if (sum.reducer != &find_reducer(loop_.lane, Reduce::sum)) continue;
    const auto same = [&](const ReducedOutput& other) {
      return has_deviations(other) && other.slot == sum.slot && other.level == sum.level &&
             other.strides == sum.strides;
    };
    const auto found = std::ranges::find_if(plan_.reduceds, same);
    if (found == plan_.reduceds.end()) continue;
    sum.shares = int(found - plan_.reduceds.begin());
    sum.reducer = &moments.sum;
  }
}

/// Inputs that are read after an output was written, and could be the same memory.
void Lowering::find_clashes() {
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
bool Lowering::place() {
  Region arena = slots_.place(plan_.slot_offsets);
  plan_.value_bytes = arena.bytes;
  for (FullOutput& full : plan_.fulls) {
    if (full.streams || !full.clashes.empty()) full.staging = arena.take(block_.bytes(full.level));
  }
  Region scratch;
  for (ReducedOutput& reduced : plan_.reduceds) {
    if (reduced.shares >= 0) {
      reduced.offset = plan_.reduceds[std::size_t(reduced.shares)].offset;
      continue;
    }
    const std::int64_t bytes = reduced.accumulators * reduced.reducer->bytes * reduced.reducer->planes;
    reduced.offset = (reduced.in_block ? arena : scratch).take(bytes);
  }
  plan_.arena_bytes = arena.bytes;
  plan_.chunk_scratch = scratch.bytes;
  return arena.bytes <= kArenaBytes;
}

}  // namespace tapestry::kernels
