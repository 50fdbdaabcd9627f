// Drawing within a segment: Philox (core/random.hpp) for the words of 32 counters at a time.
#include <tapestry/ops/kernels/loop_assembler.hpp>
#include <tapestry/ops/kernels/loop_drawing.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tapestry::kernels {
namespace {

namespace v = vector_ops;

// A bit is 1 where an odd number of three are.
constexpr int kXor3 = 0x96;
constexpr int kSwapHalves = 0xb1;  // of 64-bit lanes

Address in_drawing(std::size_t offset, std::size_t number = 0) {
  return {.base = kPassing, .offset = std::int32_t(offset + 8 * number), .repeated = true};
}

}  // namespace

/// Where fewer words are left than the next elements need, more are drawn.
void SegmentAssembler::draw_if_needed() {
  static_assert(offsetof(Drawing, enough) == 0);
  for (const Segment::Input& input : segment_.inputs) {
    if (input.drawing < 0) continue;
    a_.load_pointer(kPassing, kSlots, input.drawing);
    a_.bytes({0x49, 0x3b, 0x07});                      // cmp rax, [r15]
    const std::size_t to_end = a_.jump({0x0f, 0x8e});  // jle
    calls_.push_back(a_.jump({0xe8}));                 // call
    a_.add_to_pointer(kSlots, input.slot, -Drawing::kBatch * 4);
    a_.bind(to_end, a_.here());
  }
}

/// The function that this calls, which rows pass by: draws a batch of the Drawing at kPassing. Nothing but
/// what rows have is in registers then, and constants, which are read again.
void SegmentAssembler::draw_function() {
  if (calls_.empty()) return;
  const std::size_t to_end = a_.jump({0xe9});  // jmp
  for (const std::size_t call : calls_) a_.bind(call, a_.here());
  constexpr int kChains = Drawing::kChains;
  std::vector<int> pool = free_;
  for (const Kept& kept : kept_) pool.insert(pool.begin(), kept.reg.number);
  const auto next = [&] {
    if (pool.empty()) throw OutOfRegisters();
    const Zmm reg{pool.back()};
    pool.pop_back();
    return reg;
  };
  // The words of counters, in 64-bit lanes, and one in passing.
  struct Chain {
    std::array<Zmm, 4> c;
    Zmm t;
  };
  std::array<Chain, kChains> chains;
  for (Chain& chain : chains) chain = {{next(), next(), next(), next()}, next()};
  const Zmm factor0 = next(), factor1 = next();
  const auto upper = [&](Zmm to, Zmm from) { a_.emit_with(v::shift_wide, Zmm{2}, to, from, 32); };
  // The same by the port of shuffles, where that is another one.
  const auto upper_shuffled = [&](Zmm to, Zmm from) { a_.emit(v::repeat_odd, to, {}, from); };
  const auto key = [](std::size_t round, std::size_t number) {
    return in_drawing(offsetof(Drawing, keys), 2 * (round - 2) + number);
  };
  const auto first_key = [](std::size_t number) { return in_drawing(offsetof(Drawing, first_keys), number); };
  a_.bytes({0xc4, 0xc1, 0x78, 0x90, 0x57, 0x08});  // kmovw k2, [r15 + 8]
  static_assert(offsetof(Drawing, lower_halves) == 8 && kFirstMask == 2);
  const Mask lower_halves{kFirstMask};
  for (const auto& [reg, number] : {std::pair(factor0, 0), std::pair(factor1, 1)}) {
    Address at = in_drawing(offsetof(Drawing, factors), std::size_t(number));
    at.repeated = false;
    a_.emit(v::broadcast_wide, reg, {}, at);
  }

  const auto words = [](std::size_t vector) {
    return Address{.base = kPassing,
                   .offset = std::int32_t(offsetof(Drawing, words) + vector * kVectorBytes)};
  };
  for (std::size_t i = 0; i < Drawing::kLeast / 16; ++i) {  // what is left of the last batch
    a_.emit(v::load, chains[i].t, {}, words(i + Drawing::kBatch / 16));
    a_.emit(v::store, chains[i].t, {}, words(i));
  }

  // Rounds 0 and 1.
  const Zmm products = chains[0].c[2];
  Address at = in_drawing(offsetof(Drawing, products));
  at.repeated = false;
  a_.emit(v::load, products, {}, at);
  const auto increment = [](std::size_t i) { return in_drawing(offsetof(Drawing, increments), i); };
  for (std::size_t i = 1; i < kChains; ++i) {
    a_.emit(v::add_wide, chains[i].c[2], products, increment(i - 1));
  }
  a_.emit(v::add_wide, chains[0].t, products, increment(kChains - 1));
  a_.emit(v::store, chains[0].t, {}, at);
  Assembler before = std::exchange(a_, {});
  std::array<Assembler, kChains> codes;
  for (std::size_t i = 0; i < kChains; ++i) {
    auto& [c, t] = chains[i];
    upper_shuffled(t, c[2]);
    a_.emit(v::xor_wide, t, t, first_key(0));
    a_.emit(v::multiply_even, c[1], t, factor1);
    upper(c[0], c[1]);
    a_.emit(v::xor_wide, c[0], c[0], first_key(1));
    a_.emit(v::xor_wide, c[2], c[2], first_key(2));
    const auto multiply = [&] {
      a_.emit(v::multiply_even, c[0], c[0], factor0);
      a_.emit(v::multiply_even, c[2], c[2], factor1);
    };
    for (std::size_t round = 2; round < 9; ++round) {
      multiply();
      upper(t, c[2]);
      a_.emit_with(v::select_wide, c[1], t, key(round, 0), kXor3);
      if (round == 2) {
        upper_shuffled(c[3], c[0]);
        a_.emit(v::xor_wide, c[3], c[3], key(round, 1));
      } else {
        upper_shuffled(t, c[0]);
        a_.emit_with(v::select_wide, c[3], t, key(round, 1), kXor3);
      }
      std::rotate(c.begin(), c.begin() + 1, c.end());
    }
    // In the last round products with halves swapped have two words of a counter in order but for what the
    // first is still exclusive-ored with.
    multiply();
    a_.emit_with(v::shuffle, t, {}, c[2], kSwapHalves);
    a_.emit_with(v::select_bits, t, c[1], key(9, 0), kXor3, lower_halves);
    a_.emit_with(v::shuffle, c[1], {}, c[0], kSwapHalves);
    a_.emit_with(v::select_bits, c[1], c[3], key(9, 1), kXor3, lower_halves);
    a_.emit(v::even_pairs, c[0], t, c[1]);
    a_.emit(v::odd_pairs, c[2], t, c[1]);
    a_.emit(v::store, c[0], {}, words(2 + 2 * i));
    a_.emit(v::store, c[2], {}, words(3 + 2 * i));
    codes[i] = std::exchange(a_, {});
  }
  a_ = std::move(before);
  a_.append_in_turns(codes, 1);

  static_assert(Drawing::kBatch == 128);
  a_.bytes({0x49, 0x81, 0x07, 0x80, 0x00, 0x00, 0x00});  // add qword [r15], 128
  for (const Kept& kept : kept_) {
    if (std::ranges::find(pool, kept.reg.number) == pool.end()) read_kept(kept);
  }
  a_.bytes({0xc3});  // ret
  a_.bind(to_end, a_.here());
}

/// A comparison of random numbers with a constant is one of the words they are made of.
void SegmentAssembler::compare_words(int number) {
  constexpr int kBoundAtLeast = 5, kBoundLess = 1;
  const Segment::Step& step = segment_.steps[std::size_t(number)];
  const std::size_t result = segment_.inputs.size() + std::size_t(number);
  const Zmm bound = reg(step.operands[1]);
  const Mask to = becomes_mask(int(result)) ? masks_[result] : chosen_;
  a_.emit_with(v::compare_words, Zmm{to.number}, bound,
               element(segment_.inputs[std::size_t(step.operands[0])].slot, 4),
               step.code == Code::le ? kBoundAtLeast : kBoundLess);
  if (to.number != chosen_.number) return;
  where_[result] = take();
  one_where_chosen(where_[result]);
}

}  // namespace tapestry::kernels
