// x86-64 machine code with AVX-512: the few instructions that assembled loops are made of, encoded as in
// Intel's manual (volume 2, chapters 2.3, 2.7 and 3 to 5). Vectors are zmm registers; nothing is checked but
// by tests.
#pragma once

#include <tapestry/core/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <vector>

namespace tapestry::kernels {

/// General registers, by their number in encodings.
enum class Gpr : std::uint8_t {
  rax,
  rcx,
  rdx,
  rbx,
  rsp,
  rbp,
  rsi,
  rdi,
  r8,
  r9,
  r10,
  r11,
  r12,
  r13,
  r14,
  r15
};
/// A vector register, 0 to 31.
struct Zmm {
  int number = -1;
  friend bool operator==(Zmm, Zmm) = default;
};
/// A mask register; 0 as a mask means that there is none.
struct Mask {
  int number = 0;
};

/// base + index * scale + offset; `repeated`: one lane's value there for all of a vector.
struct Address {
  Gpr base = Gpr::rax;
  int scale = 0;  ///< 0: no index; else 1, 2, 4 or 8 times `index`
  Gpr index = Gpr::rax;
  std::int32_t offset = 0;
  bool repeated = false;
};

/// What the EVEX prefix and the opcode say of a vector instruction.
struct VectorOp {
  std::uint8_t map;     ///< 1: 0F, 2: 0F 38, 3: 0F 3A
  std::uint8_t prefix;  ///< 0: none, 1: 66, 2: F3, 3: F2
  std::uint8_t opcode;
  bool wide = false;  ///< W
  int length = 2;     ///< 0: of xmm registers, 1: ymm, 2: zmm
};

namespace vector_ops {
inline constexpr VectorOp add{1, 0, 0x58}, mul{1, 0, 0x59}, sub{1, 0, 0x5c}, min{1, 0, 0x5d}, div{1, 0, 0x5e},
    max{1, 0, 0x5f}, sqrt{1, 0, 0x51}, bit_and{1, 0, 0x54}, bit_xor{1, 0, 0x57}, load{1, 0, 0x10},
    store{1, 0, 0x11}, stream{1, 0, 0x2b}, stream_half{1, 0, 0x2b, false, 1}, move{1, 0, 0x28},
    compare{1, 0, 0xc2}, broadcast{2, 1, 0x18}, blend{2, 1, 0x65}, fmadd213{2, 1, 0xa8}, fmadd231{2, 1, 0xb8},
    fnmadd213{2, 1, 0xac}, fnmadd231{2, 1, 0xbc}, scale{2, 1, 0x2c}, permute{2, 1, 0x16},
    select_bits{3, 1, 0x25}, round{3, 1, 0x08}, reduce{3, 1, 0x56}, range{3, 1, 0x50},
    integer_add{1, 1, 0xfe}, integer_or{1, 1, 0xeb}, integer_and{1, 1, 0xdb}, shift{1, 1, 0x72},
    widen_words{2, 1, 0x33}, narrow_to_words{2, 2, 0x33}, rotate{3, 1, 0x03}, permute_quarters{3, 1, 0x04},
    store_one{1, 2, 0x11}, to_bf16{2, 2, 0x72}, store_words{1, 3, 0x7f, true, 1},
    move_bytes{1, 3, 0x6f, false, 0}, store_bytes{1, 3, 0x7f, false, 0}, stream_bytes{1, 1, 0xe7, false, 0},
    test_bytes{2, 1, 0x26, false, 0}, widen_bytes{2, 1, 0x31}, to_float{1, 0, 0x5b};
// Of 64-bit lanes, but for the last three.
inline constexpr VectorOp multiply_even{1, 1, 0xf4, true}, add_wide{1, 1, 0xd4, true},
    xor_wide{1, 1, 0xef, true}, select_wide{3, 1, 0x25, true}, shift_wide{1, 1, 0x73, true},
    broadcast_wide{2, 1, 0x59, true}, even_pairs{1, 1, 0x6c, true}, odd_pairs{1, 1, 0x6d, true},
    repeat_odd{1, 2, 0x16}, shuffle{1, 1, 0x70}, compare_words{3, 1, 0x1e};
}  // namespace vector_ops

class Assembler {
 public:
  /// op destination, a, b. Where an instruction has one operand, it is `b`, and `a` is left out.
  void emit(VectorOp op, Zmm to, Zmm a, Zmm b, Mask mask = {}, bool zeroing = false) {
    starts_.push_back(here());
    evex(op, to.number, a.number, b.number, b.number >> 4 & 1, mask, zeroing, false);
    byte(0xc0 | (to.number & 7) << 3 | (b.number & 7));
  }
  void emit(VectorOp op, Zmm to, Zmm a, const Address& b, Mask mask = {}, bool zeroing = false) {
    starts_.push_back(here());
    evex(op, to.number, a.number, int(b.base), b.scale > 0 ? int(b.index) >> 3 : 0, mask, zeroing,
         b.repeated);
    address(to.number, b);
  }
  template <class B>
  void emit_with(VectorOp op, Zmm to, Zmm a, const B& b, int immediate, Mask mask = {}) {
    emit(op, to, a, b, mask);
    byte(immediate);
  }

  /// to = a | b, of the masks of 16 elements
  void mask_or(Mask to, Mask a, Mask b) { masks(0x45, to, a, b); }
  void mask_clear(Mask to) { masks(0x47, to, to, to); }

  /// Logical shifts by a constant: /6 to the left, /2 to the right.
  void shift_left(Zmm to, Zmm from, int bits) { emit_with(vector_ops::shift, Zmm{6}, to, from, bits); }
  void shift_right(Zmm to, Zmm from, int bits) { emit_with(vector_ops::shift, Zmm{2}, to, from, bits); }

  /// Asks for a cache line, into the first cache or the second; the index, which there is, isn't rsp.
  void prefetch(const Address& a, bool into_second) {
    starts_.push_back(here());
    bytes({0x40 | (int(a.index) >> 3) << 1 | int(a.base) >> 3, 0x0f, 0x18});
    address(into_second ? 2 : 1, a);
  }

  /// to = the pointer at base + 8 * slot
  void load_pointer(Gpr to, Gpr base, int slot) {
    starts_.push_back(here());
    bytes({0x48 | (int(to) >> 3) << 2 | int(base) >> 3, 0x8b, 0x80 | (int(to) & 7) << 3 | (int(base) & 7)});
    word(slot * 8);
  }

  /// The pointer at base + 8 * slot += bytes; base is of the first eight registers.
  void add_to_pointer(Gpr base, int slot, std::int32_t by) {
    starts_.push_back(here());
    bytes({0x48, 0x81, 0x80 | int(base)});
    word(slot * 8);
    word(by);
  }

  void bytes(std::initializer_list<int> values) {
    for (const int value : values) byte(value);
  }

  void append(const std::vector<std::uint8_t>& code) { code_.insert(code_.end(), code.begin(), code.end()); }

  std::size_t here() const { return code_.size(); }
  /// A jump whose target is bound later; the opcode's bytes come before.
  std::size_t jump(std::initializer_list<int> opcode) {
    bytes(opcode);
    word(0);
    return here();
  }
  void jump_back(std::initializer_list<int> opcode, std::size_t target) { bind(jump(opcode), target); }
  void bind(std::size_t jump, std::size_t target) {
    const auto distance = std::int32_t(std::ptrdiff_t(target) - std::ptrdiff_t(jump));
    std::memcpy(&code_[jump - 4], &distance, 4);
  }

  /// Appends pieces of code without jumps that have the same instructions, but for registers and addresses:
  /// one of each in turn, each piece `skew` turns after the one before.
  void append_in_turns(std::span<const Assembler> pieces, std::size_t skew = 0) {
    const std::size_t count = pieces.front().starts_.size();
    for (const Assembler& piece : pieces) {
      require(piece.starts_.size() == count, "two pieces of code in turns have ", count, " and ",
              piece.starts_.size(), " instructions");
    }
    for (std::size_t turn = 0; turn < count + skew * (pieces.size() - 1); ++turn) {
      for (std::size_t p = 0; p < pieces.size(); ++p) {
        if (turn >= p * skew && turn - p * skew < count) append(pieces[p], turn - p * skew);
      }
    }
  }

  const std::vector<std::uint8_t>& code() const { return code_; }

 private:
  void append(const Assembler& from, std::size_t i) {
    const std::size_t end = i + 1 < from.starts_.size() ? from.starts_[i + 1] : from.here();
    starts_.push_back(here());
    code_.insert(code_.end(), from.code_.begin() + std::ptrdiff_t(from.starts_[i]),
                 from.code_.begin() + std::ptrdiff_t(end));
  }

  void masks(int opcode, Mask to, Mask a, Mask b) {
    starts_.push_back(here());
    bytes({0xc5, 0x84 | (~a.number & 15) << 3, opcode, 0xc0 | to.number << 3 | b.number});
  }

  void byte(int value) { code_.push_back(std::uint8_t(value)); }
  void word(std::int32_t value) {
    for (int i = 0; i < 4; ++i) byte(value >> 8 * i & 255);
  }

  // Bits 3 and 4 of the registers are stored inverted.
  void evex(VectorOp op, int reg, int a, int base, int x, Mask mask, bool zeroing, bool repeated) {
    const int v = a < 0 ? 0 : a;
    byte(0x62);
    byte(((reg >> 3 & 1) << 7 | x << 6 | (base >> 3 & 1) << 5 | (reg >> 4 & 1) << 4 | 0) ^ 0xf0);
    code_.back() |= op.map;
    byte((v & 15) << 3 ^ 0x78);
    code_.back() |= int(op.wide) << 7 | 4 | op.prefix;
    byte(int(zeroing) << 7 | op.length << 5 | int(repeated) << 4 | (v >> 4 ^ 1) << 3 | mask.number);
    byte(op.opcode);
  }

  void address(int reg, const Address& a) {
    const int base = int(a.base) & 7;
    if (a.scale == 0 && base != 4) {
      byte(0x80 | (reg & 7) << 3 | base);
    } else {
      const int log2 = a.scale >= 8 ? 3 : a.scale >= 4 ? 2 : a.scale >= 2 ? 1 : 0;
      byte(0x84 | (reg & 7) << 3);
      byte(log2 << 6 | (a.scale == 0 ? 4 : int(a.index) & 7) << 3 | base);
    }
    word(a.offset);
  }

  std::vector<std::uint8_t> code_;
  std::vector<std::size_t> starts_;  // of the instructions, but for those given as bytes
};

}  // namespace tapestry::kernels
