#include <tapestry/ops/kernels/loop_assembler.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

namespace tapestry::kernels {
namespace {

namespace v = vector_ops;

constexpr int kAtEnd = std::numeric_limits<int>::max();

// What can be kept in a register: a constant, by its offset, or a slot.
constexpr std::uint64_t kIsTable = std::uint64_t{1} << 62, kIsSlot = std::uint64_t{1} << 63;

}  // namespace

// --- Registers ---

Zmm SegmentAssembler::take() {
  if (free_.empty()) throw OutOfRegisters();
  const Zmm reg{free_.back()};
  free_.pop_back();
  return reg;
}

Zmm SegmentAssembler::passing() {
  const Zmm reg = take();
  passing_.push_back(reg.number);
  return reg;
}

void SegmentAssembler::free(Zmm reg) { free_.push_back(reg.number); }

void SegmentAssembler::find_last_uses() {
  const std::size_t inputs = segment_.inputs.size();
  last_.assign(inputs + segment_.steps.size(), -1);
  for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
    const Segment::Step& step = segment_.steps[i];
    for (int k = 0; k < arity_of(step.code); ++k) last_[std::size_t(step.operands[std::size_t(k)])] = int(i);
  }
  for (const Segment::Output& output : segment_.outputs) last_[std::size_t(output.value)] = kAtEnd;
}

/// Values that are 1 or 0, and of which only that matters.
void SegmentAssembler::find_conditions() {
  const std::size_t inputs = segment_.inputs.size();
  is_condition_.assign(inputs + segment_.steps.size(), false);
  for (std::size_t i = 0; i < inputs; ++i) is_condition_[i] = segment_.inputs[i].dtype == DType::boolean;
  for (std::size_t i = 0; i < segment_.steps.size(); ++i) {
    const Code code = segment_.steps[i].code;
    is_condition_[inputs + i] = code >= Code::eq && code <= Code::ge;
  }
  for (const Segment::Step& step : segment_.steps) {
    const int arity = arity_of(step.code);
    for (int k = 0; k < arity; ++k) {
      if (step.code != Code::select || k != 2)
        is_condition_[std::size_t(step.operands[std::size_t(k)])] = false;
    }
  }
  for (const Segment::Output& output : segment_.outputs) {
    if (output.to != To::boolean) is_condition_[std::size_t(output.value)] = false;
  }
}

/// Is it to be kept as a mask? Then it has one now.
bool SegmentAssembler::becomes_mask(int value) {
  const auto i = std::size_t(value);
  if (!is_condition_[i] || free_masks_.empty()) return false;
  masks_[i] = {free_masks_.back()};
  free_masks_.pop_back();
  return true;
}

// --- Operands ---

/// The register of a constant or a value of the block, if it is one of those kept.
std::optional<Zmm> SegmentAssembler::keep(std::uint64_t key) {
  if (std::ranges::find(wanted_, key) == wanted_.end()) wanted_.push_back(key);
  for (const Kept& kept : kept_) {
    if (kept.key == key) return kept.reg;
  }
  return {};
}

/// Where a constant is in memory, as often as a vector has elements.
Address SegmentAssembler::address_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  auto at = std::ranges::find(repeated_, bits, &Repeated::bits);
  if (at == repeated_.end()) {
    at = repeated_.insert(at, {bits, std::int32_t((constants_before_ + constants_.size()) * sizeof(float))});
    constants_.insert(constants_.end(), 16, value);
  }
  return {.base = kConstants, .offset = at->offset};
}

Place SegmentAssembler::constant(float value) {
  Address at = address_of(value);
  if (const auto kept = keep(std::uint64_t(at.offset))) return {.reg = *kept};
  at.repeated = true;
  return {.address = at};
}

Place SegmentAssembler::table(std::span<const float, 16> values) {
  std::size_t at = 0;
  const auto is_here = [&] { return std::memcmp(&constants_[at], values.data(), values.size_bytes()) == 0; };
  while (at < constants_.size() && !is_here()) at += 16;
  if (at == constants_.size()) constants_.insert(constants_.end(), values.begin(), values.end());
  const auto offset = std::int32_t((constants_before_ + at) * sizeof(float));
  if (const auto kept = keep(kIsTable | std::uint64_t(offset))) return {.reg = *kept};
  return {.address = {.base = kConstants, .offset = offset}};
}

Place SegmentAssembler::value(int number) {
  const auto i = std::size_t(number);
  const bool is_input = i < segment_.inputs.size();
  if (is_input && segment_.inputs[i].from == From::block) {
    const int slot = segment_.inputs[i].slot;
    if (const auto kept = keep(kIsSlot | std::uint64_t(slot))) return {.reg = *kept};
    // At once into a register: the next operand may need the pointer's.
    a_.load_pointer(kPassing, kSlots, slot);
    const Zmm reg = passing();
    a_.emit(v::load, reg, {}, {.base = kPassing});
    return {.reg = reg};
  }
  if (is_input && where_[i].number < 0) load(number);
  return {.reg = where_[i]};
}

Zmm SegmentAssembler::in_register(const Place& place) {
  if (place.in_register()) return place.reg;
  const Zmm reg = passing();
  a_.emit(place.address.repeated ? v::broadcast : v::load, reg, {},
          {.base = place.address.base, .offset = place.address.offset});
  return reg;
}

// --- Code ---

void SegmentAssembler::run(int kept) {
  // What one run met is what the next can keep: first those that take two instructions to read.
  std::ranges::stable_partition(wanted_, [](std::uint64_t key) { return (key & kIsSlot) != 0; });
  kept_.clear();
  calls_.clear();
  a_ = {};
  passing_.clear();
  chosen_ = {kFirstMask};
  body_ = 0;
  free_.clear();
  for (int i = kVectorRegisters; i-- > 0;) free_.push_back(i);
  where_.assign(segment_.inputs.size() + segment_.steps.size(), {});
  left_.clear();
  take_given();
  masks_.assign(where_.size(), {});
  free_masks_.clear();
  for (int i = kMasks; --i > kFirstMask;) free_masks_.push_back(i);
  based_.clear();
  gathered_.clear();
  const auto add_base = [&](int slot) {
    if (!segment_.is_of_rows && based_.size() < kBases.size()) based_.push_back(slot);
  };
  for (const Segment::Input& input : segment_.inputs) {
    if (input.from >= From::column && input.drawing < 0) add_base(input.slot);
  }
  for (const Segment::Output& output : segment_.outputs) {
    if (!output.is_of_row()) add_base(output.slot);
  }
  for (int i = 0; i < std::min(kept, int(wanted_.size())); ++i) {
    kept_.push_back({wanted_[std::size_t(i)], take()});
  }
  find_last_uses();
  find_conditions();

  prepare();
  preparation_ = std::exchange(a_, {});
  read_row_values();
  if (segment_.is_of_rows) return body(false);
  a_.bytes({0x48, 0x8d, 0x2c, 0x10,  // lea rbp, [rax + rdx]: the row's end
            0x45, 0x31, 0xf6});      // xor r14d, r14d
  open_rows();
  for (int vectors = vectors_; vectors > 0; --vectors) loop_over(vectors);
  a_.bytes({0x48, 0x39, 0xe8});                       // cmp rax, rbp
  const std::size_t to_next = a_.jump({0x0f, 0x8d});  // jge
  draw_if_needed();
  a_.bytes({0x49, 0x89, 0xef,              // mov r15, rbp
            0x49, 0x29, 0xc7,              // sub r15, rax: what is left
            0xbb, 0xff, 0xff, 0x00, 0x00,  // mov ebx, 0xffff
            0xc4, 0xe2, 0x00, 0xf5, 0xdb,  // bzhi ebx, ebx, r15d
            0xc5, 0xf8, 0x92, 0xcb});      // kmovw k1, ebx
  body(true);
  a_.bytes({0x48, 0x89, 0xe8});  // mov rax, rbp
  a_.bind(to_next, a_.here());
  close_rows();
  draw_function();
}

/// While the row has so many vectors left.
void SegmentAssembler::loop_over(int vectors) {
  const int elements = 16 * vectors;
  a_.bytes({0x48, 0x8d, 0x5d, -elements & 255,       // lea rbx, [rbp - elements]
            0x48, 0x39, 0xd8});                      // cmp rax, rbx
  const std::size_t to_end = a_.jump({0x0f, 0x8f});  // jg
  const std::size_t loop = a_.here();
  draw_if_needed();
  vectors == 2 ? two_bodies() : body(false);
  a_.bytes({0x49, 0x83, 0xc6, elements,                      // add r14, elements
            0x48, 0x83, 0xc0, elements, 0x48, 0x39, 0xd8});  // add rax, elements; cmp rax, rbx
  a_.jump_back({0x0f, 0x8e}, loop);                          // jle
  a_.bind(to_end, a_.here());
}

/// Pointers and what is kept.
void SegmentAssembler::prepare() {
  for (std::size_t i = 0; i < based_.size(); ++i) a_.load_pointer(kBases[i], kSlots, based_[i]);
  for (const Kept& kept : kept_) read_kept(kept);
}

void SegmentAssembler::read_kept(const Kept& kept) {
  Address at{.base = kConstants, .offset = std::int32_t(kept.key & 0x7fffffff)};
  if (kept.key & kIsSlot) {
    a_.load_pointer(kPassing, kSlots, at.offset);
    at = {.base = kPassing};
  }
  a_.emit(v::load, kept.reg, {}, at);
}

/// Those of the registers that have what is read.
void SegmentAssembler::take_given() {
  for (std::size_t i = 0; i < segment_.inputs.size(); ++i) {
    const Segment::Input& input = segment_.inputs[i];
    const auto given = std::ranges::find(given_, input.slot, &RowValue::slot);
    if (input.from != From::row || given == given_.end()) continue;
    where_[i] = given->reg;
    std::erase(free_, given->reg.number);
  }
}

void SegmentAssembler::read_row_values() {
  for (std::size_t i = 0; i < segment_.inputs.size(); ++i) {
    if (segment_.inputs[i].from != From::row) continue;
    last_[i] = kAtEnd;
    if (where_[i].number >= 0) continue;
    a_.load_pointer(kPassing, kSlots, segment_.inputs[i].slot);
    where_[i] = take();
    a_.emit(v::broadcast, where_[i], {}, {.base = kPassing, .scale = 4, .index = kRow});
  }
}

/// Several segments share the registers, so each prepares itself for each row.
std::vector<std::uint8_t> function_of(std::span<const SegmentAssembler> segments) {
  Assembler a;
  a.bytes({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57,  // push rbx, rbp, r12 to r15
           0x31, 0xc0, 0x45, 0x31, 0xc0});                              // xor eax, eax; xor r8d, r8d
  const bool is_single = segments.size() == 1;
  if (is_single) a.append(segments[0].preparation());
  const std::size_t row_loop = a.here();
  for (const SegmentAssembler& segment : segments) {
    if (!is_single) a.append(segment.preparation());
    a.append(segment.row());
    if (!is_single && segment.moves_on()) a.bytes({0x48, 0x29, 0xd0});  // sub rax, rdx
  }
  if (!is_single) a.bytes({0x48, 0x01, 0xd0});                          // add rax, rdx
  a.bytes({0x49, 0xff, 0xc0, 0x49, 0x39, 0xf0});                        // inc r8; cmp r8, rsi
  a.jump_back({0x0f, 0x8c}, row_loop);                                  // jl
  a.bytes({0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b,  // pop them
           0xc5, 0xf8, 0x77, 0xc3});                                    // vzeroupper; ret
  return a.code();
}

/// Two vectors, an instruction of each in turn: what one waits for takes the other's time. Each has half of
/// the registers; a pointer in passing is the same for both. An odd number of masks leaves the last one for
/// the second's `chosen_`.
void SegmentAssembler::two_bodies() {
  const std::vector<int> free = free_, masks = free_masks_;
  const Mask chosen = chosen_;
  const auto half = [](const std::vector<int>& all, std::size_t which) {
    const auto size = std::ptrdiff_t(all.size() / 2), first = std::ptrdiff_t(which) * size;
    return std::vector<int>(all.begin() + first, all.begin() + first + size);
  };
  static_assert((kMasks - kFirstMask - 1) % 2 == 1);
  Assembler before = std::exchange(a_, {}), bodies[2];
  for (const std::size_t i : {0, 1}) {
    free_ = half(free, i);
    free_masks_ = half(masks, i);
    body_ = i;
    if (i == 1) chosen_ = {masks.back()};
    body(false);
    bodies[i] = std::exchange(a_, {});
  }
  a_ = std::move(before);
  a_.append_in_turns(bodies);
  body_ = 0;
  free_ = free;
  free_masks_ = masks;
  chosen_ = chosen;
}

/// One vector. Results are stored last: an output may be an input's memory.
void SegmentAssembler::body(bool is_tail) {
  is_tail_ = is_tail;
  const std::vector<int> before = free_;
  const std::vector<Zmm> held = where_;
  const std::vector<int> free_masks = free_masks_;
  const auto give_back = [&] {
    for (const int reg : passing_) free({reg});
    passing_.clear();
  };
  for (int i = 0; i < int(segment_.steps.size()); ++i) {
    step(i);
    give_back();
    for (std::size_t value = 0; value < where_.size(); ++value) {
      if (last_[value] == i && where_[value].number >= 0) {
        free(where_[value]);
        where_[value] = {};
      }
      if (last_[value] == i && masks_[value].number > 0) {
        free_masks_.push_back(masks_[value].number);
        masks_[value] = {};
      }
    }
  }
  for (const Segment::Output& output : segment_.outputs) {
    store(output);
    give_back();
    if (output.to == To::row) left_.push_back({output.slot, where_[std::size_t(output.value)]});
  }
  free_ = before;
  where_ = held;
  free_masks_ = free_masks;
  masks_.assign(where_.size(), {});
}

}  // namespace tapestry::kernels
