#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/kernels/loop_assembler.hpp>

#include <algorithm>
#include <limits>

namespace tapestry::kernels {
namespace v = vector_ops;

Address SegmentAssembler::element(int slot, int bytes, Gpr index) {
  const auto found = std::ranges::find(based_, slot);
  Gpr base = kPassing;
  if (found != based_.end()) {
    base = kBases[std::size_t(found - based_.begin())];
  } else {
    a_.load_pointer(kPassing, kSlots, slot);
  }
  return {.base = base, .scale = bytes, .index = index, .offset = 16 * int(body_) * bytes};
}

/// The elements for which the value isn't 0.
Mask SegmentAssembler::condition(int value) {
  const auto i = std::size_t(value);
  const bool is_input = i < segment_.inputs.size();
  if (is_input && segment_.inputs[i].dtype == DType::boolean && where_[i].number < 0 && masks_[i].number == 0)
    load(value);
  if (masks_[i].number > 0) return masks_[i];
  compare(kUnequal, reg(value), constant(0));
  return chosen_;
}

void SegmentAssembler::load(int input) {
  const Segment::Input& from = segment_.inputs[std::size_t(input)];
  if (from.dtype == DType::boolean) return load_booleans(input);
  const bool is_bf16 = from.dtype == DType::bf16;
  const Zmm to = where_[std::size_t(input)] = take();
  const Mask mask = is_tail_ ? kTail : Mask{};
  const Address at = element(from.slot, is_bf16 ? 2 : 4, from.from == From::column ? kColumn : kElement);
  a_.emit(is_bf16 ? v::widen_words : v::load, to, {}, at, mask, is_tail_);
  if (is_bf16) a_.shift_left(to, to, 16);
  if (from.drawing >= 0) {  // unit_f32() of core/random.hpp
    a_.shift_right(to, to, 8);
    a_.emit(v::to_float, to, {}, to);
    emit(v::mul, to, to, constant(0x1p-24f));
  }
  fetch(from, at);
}

/// Asks for what will be read there later.
void SegmentAssembler::fetch(const Segment::Input& input, Address at) {
  if (input.ahead == 0 || is_tail_) return;
  at.offset += input.ahead;
  a_.prefetch(at, input.into_second);
}

void SegmentAssembler::load_booleans(int input) {
  const auto i = std::size_t(input);
  const Segment::Input& from = segment_.inputs[i];
  const Mask mask = is_tail_ ? kTail : Mask{};
  const Address at = element(from.slot, 1, from.from == From::column ? kColumn : kElement);
  if (becomes_mask(input)) {
    a_.emit(v::test_bytes, Zmm{masks_[i].number}, in_register(constant_bits(0xffffffff)), at, mask);
  } else {
    const Zmm to = where_[i] = take();
    a_.emit(v::widen_bytes, to, {}, at, mask, is_tail_);
    a_.emit(v::to_float, to, {}, to);
  }
  fetch(from, at);
}

void SegmentAssembler::store(const Segment::Output& output) {
  const Mask mask = is_tail_ ? kTail : Mask{};
  if (output.to == To::boolean) {
    const Mask chosen = condition(output.value);
    const Zmm bytes = passing();
    a_.emit(v::move_bytes, bytes, {}, in_register(constant_bits(0x01010101)), chosen, true);
    return a_.emit(output.streams && !is_tail_ ? v::stream_bytes : v::store_bytes, bytes, {},
                   element(output.slot, 1), mask);
  }
  const Zmm value = reg(output.value);
  switch (output.to) {
    case To::element:
      return a_.emit(output.streams && !is_tail_ ? v::stream : v::store, value, {}, element(output.slot, 4),
                     mask);
    case To::bf16: {
      if (!cpu_multiplies_bf16()) {
        return a_.emit(v::narrow_to_words, rounded(value), {}, element(output.slot, 2), mask);
      }
      const Zmm half = passing();
      a_.emit(v::to_bf16, half, {}, value);
      return a_.emit(output.streams && !is_tail_ ? v::stream_half : v::store_words, half, {},
                     element(output.slot, 2), mask);
    }
    case To::row_sum:
    case To::row_max:
    case To::row_min: {
      const auto i = std::size_t(&output - segment_.outputs.data());
      return gather(output.to, gathered_[i], value, mask);
    }
    case To::column_sum: {
      const Zmm sum = passing();
      const Address at = element(output.slot, 4, kColumn);
      a_.emit(v::load, sum, {}, at, mask, is_tail_);
      a_.emit(v::add, sum, sum, value);
      return a_.emit(v::store, sum, {}, at, mask);
    }
    case To::row:
      a_.load_pointer(kPassing, kSlots, output.slot);
      return a_.emit(v::store_one, value, {}, {.base = kPassing, .scale = 4, .index = kRow});
    case To::boolean:
      break;
  }
}

/// Bits of bf16 in the lower half of each lane: to nearest even, and a NaN stays one (core/dtype.hpp). CPUs
/// with AVX512-BF16 have an instruction for it, but for which subnormal numbers are 0.
Zmm SegmentAssembler::rounded(Zmm value) {
  const Zmm bits = passing(), high = passing();
  a_.shift_right(high, value, 16);
  emit(v::integer_and, bits, high, constant_bits(1));
  emit(v::integer_add, bits, bits, {.reg = value});
  emit(v::integer_add, bits, bits, constant_bits(0x7fff));
  a_.shift_right(bits, bits, 16);
  compare(kUnordered, value, {.reg = value});
  emit(v::integer_or, high, high, constant_bits(0x40));
  emit(v::blend, bits, bits, {.reg = high}, chosen_);
  return bits;
}

// --- What rows become ---

/// A register for each of two vectors in turn, so that neither waits for the other.
void SegmentAssembler::open_rows() {
  for (const Segment::Output& output : segment_.outputs) {
    Gathered& gathered = gathered_.emplace_back();
    if (!output.is_of_row()) continue;
    const bool notes_nans = output.to != To::row_sum && free_masks_.size() >= 3;
    for (std::size_t i = 0; i < std::size_t(vectors_); ++i) {
      const Zmm all = gathered.all[i] = take();
      if (output.to == To::row_sum) {
        a_.emit(v::bit_xor, all, all, all);
      } else {
        const float least = std::numeric_limits<float>::infinity();
        a_.emit(v::load, all, {}, address_of(output.to == To::row_max ? -least : least));
      }
    }
    for (std::size_t i = 0; i < 2 && notes_nans; ++i) {  // always two: what is left is an odd number
      gathered.nans[i] = {free_masks_.back()};
      free_masks_.pop_back();
      a_.mask_clear(gathered.nans[i]);
    }
  }
}

/// Of a number and NaN the second operand is the larger one: the accumulator stays a number. To note where a
/// NaN was takes no part of the chain that maxima wait in.
void SegmentAssembler::gather(To to, const Gathered& gathered, Zmm values, Mask mask) {
  const Zmm all = gathered.all[body_];
  if (to == To::row_sum) return a_.emit(v::add, all, all, values, mask);
  const VectorOp op = to == To::row_max ? v::max : v::min;
  if (!gathered.has_masks()) return choose_larger(op, all, values, {.reg = all}, mask);
  a_.emit(op, all, values, all, mask);
  compare(kUnordered, values, {.reg = values}, mask);
  a_.mask_or(gathered.nans[body_], gathered.nans[body_], chosen_);
}

void SegmentAssembler::close_rows() {
  for (std::size_t i = 0; i < segment_.outputs.size(); ++i) {
    const Segment::Output& output = segment_.outputs[i];
    if (!output.is_of_row()) continue;
    const Gathered& gathered = gathered_[i];
    const Zmm all = gathered.all[0], other = take();
    const auto add = [&](Zmm values) {
      if (!gathered.has_masks()) return gather(output.to, gathered, values, {});
      a_.emit(output.to == To::row_max ? v::max : v::min, all, values, all);
    };
    if (vectors_ == 2) add(gathered.all[1]);
    for (const int lanes : {8, 4}) {
      a_.emit_with(v::rotate, other, all, all, lanes);
      add(other);
    }
    for (const int order : {0x4e, 0x39}) {  // within each quarter, which takes less: by 2 lanes and by 1
      a_.emit_with(v::permute_quarters, other, {}, all, order);
      add(other);
    }
    free(other);
    if (gathered.has_masks()) {
      const Mask nans = gathered.nans[0];
      if (vectors_ == 2) a_.mask_or(nans, nans, gathered.nans[1]);
      a_.bytes({0xc5, 0xf8, 0x93, 0xd8 | nans.number,         // kmovw ebx, nans
                0xf7, 0xdb,                                   // neg ebx
                0x19, 0xdb,                                   // sbb ebx, ebx: all bits if there was one
                0xc5, 0xf8, 0x92, 0xc3 | nans.number << 3});  // kmovw nans, ebx
      a_.emit(v::load, all, {}, address_of(std::numeric_limits<float>::quiet_NaN()), nans);
    }
    if (output.to != To::row_sum) a_.emit(v::broadcast, all, {}, all);  // zeros' signs differ by lane
    a_.load_pointer(kPassing, kSlots, output.slot);
    a_.emit(v::store_one, all, {}, {.base = kPassing, .scale = 4, .index = kRow});
    left_.push_back({output.slot, all});
  }
}

}  // namespace tapestry::kernels
