// The making of a segment's machine code: frame, registers and constants (loop_assembler.cpp), what is read
// and written (loop_assembler_memory.cpp), random numbers (loop_assembler_draw.cpp), and the instructions
// themselves (loop_assembler_steps.cpp).
#pragma once

#include <tapestry/ops/kernels/assembler.hpp>
#include <tapestry/ops/kernels/loop_assemble.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace tapestry::kernels {

// Masks: of the elements that a row's last vector has. The others are for what a comparison chooses.
inline constexpr Mask kTail{1};
inline constexpr int kFirstMask = 2, kMasks = 8;
// General registers, by what they are for: slots and constants are the function's arguments.
inline constexpr Gpr kSlots = Gpr::rdi, kConstants = Gpr::rcx, kPassing = Gpr::r15;
inline constexpr std::array kBases{Gpr::r9, Gpr::r10, Gpr::r11, Gpr::r12, Gpr::r13};
/// The row, which of the chunk's elements a vector starts with, and which of the row's.
inline constexpr Gpr kRow = Gpr::r8, kElement = Gpr::rax, kColumn = Gpr::r14;

inline constexpr int kVectorRegisters = 32;

// Comparisons as instructions number them; the first and the last four are false for NaN.
enum Predicate {
  kEqual = 0,
  kUnordered = 3,
  kUnequal = 4,
  kLess = 0x11,
  kAtMost = 0x12,
  kAtLeast = 0x1d,
  kMore = 0x1e
};

class OutOfRegisters {};

/// A register that has a row's value as often as a vector has elements, and the slot that has it, too.
struct RowValue {
  int slot;
  Zmm reg;
};

/// What an instruction takes as its last operand: a register, or memory.
struct Place {
  Zmm reg{};
  Address address{};
  bool in_register() const { return reg.number >= 0; }
};

class SegmentAssembler {
 public:
  /// The code works on so many vectors at a time: on one or two. Its constants come after so many others, and
  /// these registers have their values when a row begins.
  SegmentAssembler(const Segment& segment, int vectors, std::size_t constants_before,
                   std::vector<RowValue> given)
      : segment_(segment), vectors_(vectors), constants_before_(constants_before), given_(std::move(given)) {}

  /// Throws OutOfRegisters. Constants and values of the block are read from memory where they are needed, but
  /// for `kept` of them, which stay in registers.
  void run(int kept);
  /// Constants and values of the block that were met.
  int wanted() const { return int(wanted_.size()); }
  /// What has to be in registers, and what is done for each row.
  const std::vector<std::uint8_t>& preparation() const { return preparation_.code(); }
  const std::vector<std::uint8_t>& row() const { return a_.code(); }
  /// Registers at a row's end.
  const std::vector<RowValue>& left() const { return left_; }
  /// Is the next row's first element the next, then?
  bool moves_on() const { return !segment_.is_of_rows; }
  const std::vector<float>& constants() const { return constants_; }

 private:
  // Registers
  Zmm take();
  Zmm passing();
  void free(Zmm reg);
  void find_last_uses();
  void find_conditions();
  bool becomes_mask(int value);

  // Operands
  Address address_of(float value);
  Place constant(float value);
  Place constant_bits(std::uint32_t bits) { return constant(std::bit_cast<float>(bits)); }
  Place table(std::span<const float, 16> values);
  Place value(int number);
  Zmm in_register(const Place& place);
  Zmm reg(int number) { return in_register(value(number)); }
  Address element(int slot, int bytes, Gpr index = kElement);
  void load(int input);
  void load_booleans(int input);
  void fetch(const Segment::Input& input, Address at);
  Mask condition(int value);
  void store(const Segment::Output& output);
  Zmm rounded(Zmm value);
  void open_rows();
  struct Gathered;
  void gather(To to, const Gathered& gathered, Zmm values, Mask mask);
  void close_rows();

  // Code
  void prepare();
  void take_given();
  void read_row_values();
  void loop_over(int vectors);
  void body(bool is_tail);
  void two_bodies();
  void step(int number);
  void emit(VectorOp op, Zmm to, Zmm a, const Place& b, Mask mask = {}, bool zeroing = false);
  void compare(Predicate predicate, Zmm a, const Place& b, Mask mask = {});
  void compare(Mask to, Predicate predicate, Zmm a, const Place& b, Mask mask = {});
  void one_where_chosen(Zmm to);
  void choose_larger(VectorOp op, Zmm to, Zmm a, const Place& b, Mask mask = {});
  void exp(Zmm to, Zmm x);
  void erf(Zmm to, Zmm x);
  void gelu_slope(Zmm to, Zmm x);
  void take_sign(Zmm to, Zmm of);

  struct Kept {
    std::uint64_t key;
    Zmm reg;
  };
  std::optional<Zmm> keep(std::uint64_t key);
  void read_kept(const Kept& kept);

  // Random numbers
  void draw_if_needed();
  void draw_function();
  void compare_words(int number);

  const Segment& segment_;
  const int vectors_;
  const std::size_t constants_before_;
  const std::vector<RowValue> given_;
  std::vector<RowValue> left_;
  Assembler preparation_, a_;
  struct Repeated {
    std::uint32_t bits;
    std::int32_t offset;
  };
  std::vector<float> constants_;  // vectors: tables, and values repeated
  std::vector<Repeated> repeated_;
  std::vector<int> free_;
  std::vector<int> passing_;  // given back after the step
  std::vector<Zmm> where_;    // of each value, if it is in a register
  std::vector<Mask> masks_;   // of each value, if it is in one
  std::vector<int> free_masks_;
  std::vector<bool> is_condition_;  // of each value: is it used as nothing else?
  /// What rows become, by body; of maxima and minima `nans` has the lanes in which there was a NaN, if there
  /// are masks for it.
  struct Gathered {
    std::array<Zmm, 2> all{};
    std::array<Mask, 2> nans{};
    bool has_masks() const { return nans[0].number > 0; }
  };
  std::vector<Gathered> gathered_;     // of each output, if it is one of rows
  std::vector<int> last_;              // the step that uses it last
  std::vector<int> based_;             // slots whose pointers are in kBases
  std::vector<std::uint64_t> wanted_;  // constants and values of the block, as they are met
  std::vector<Kept> kept_;
  std::vector<std::size_t> calls_;  // of what draws random numbers
  bool is_tail_ = false;
  Mask chosen_{kFirstMask};  // by the last comparison
  std::size_t body_ = 0;     // of two that take turns
};

/// The function of segments that take turns, a row each.
std::vector<std::uint8_t> function_of(std::span<const SegmentAssembler> segments);

}  // namespace tapestry::kernels
