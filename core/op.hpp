// An op: its name, and the rules that type it, differentiate it, define it and run it. A definition is a
// constant in the op's family file; the registry only points at it.
#pragma once

#include <tapestry/core/attrs.hpp>
#include <tapestry/core/tensor.hpp>

#include <array>
#include <optional>
#include <span>
#include <string_view>

namespace tapestry {

class Var;
namespace kernels {
struct Loop;
}

/// What a type rule sees: the operands' types and the attributes.
struct Signature {
  std::span<const Type> x;
  const Attrs& attrs;
};

/// Thrown by a type rule with the bare reason ("inner dimensions differ"); recording turns it into the full
/// sentence with op, operands, shapes and lines.
class TypeMismatch : public Error {
 public:
  using Error::Error;
};
template <class... Parts>
void require_type(bool condition, const Parts&... parts) {
  if (!condition) throw TypeMismatch(text(parts...));
}

/// What an op's definition sees: its operands on the tape and its attributes.
struct Call {
  std::span<const Var> x;
  const Attrs& attrs;
};

/// What a derivative rule sees: also the output y and its cotangent g.
struct Vjp {
  std::span<const Var> x;
  const Var& y;
  const Var& g;
  const Attrs& attrs;

  const Var& a() const;  // the first input
  const Var& b() const;  // the second
};

/// What a kernel sees.
struct KernelCall {
  std::span<const ConstView> x;
  View y;
  const Attrs& attrs;
};

/// How a kernel makes a few rows of its result, along the first axis, at a time.
struct Parts {
  /// Rows of about `bytes` bytes that suit this call; 0 if the result should be made at once.
  std::int64_t (*rows)(std::span<const Type> x, const Type& y, const Attrs&, std::size_t bytes) = nullptr;
  /// Rows from `first` on into c.y, which has the part's extent, on the calling thread and with the bits of
  /// the whole. Like the kernel it allocates nothing.
  void (*make)(const KernelCall& c, std::int64_t first) = nullptr;
};

inline constexpr int kVariadic = -1;
inline constexpr int kMaxArity = 4;

struct Op {
  std::string_view name;
  int arity = 1;

  /// The type of the result; throws TypeMismatch.
  Type (*type)(const Signature&) = nullptr;

  /// Composed ops: the definition in other ops.
  Var (*expand)(const Call&) = nullptr;

  /// The derivative with respect to each input: the cotangent of that input, up to broadcasting, which the
  /// driver sums back. Null where the op is not differentiable in that input.
  std::array<Var (*)(const Vjp&), kMaxArity> vjp{};
  /// The same for ops with any number of inputs.
  Var (*vjp_each)(const Vjp&, int input) = nullptr;
  /// Why there is no derivative (or none in some input), for ops without one.
  std::string_view no_gradient{};

  /// An equal but cheaper form for these operands ("x * 1 is x"), or nothing.
  std::optional<Var> (*simplify)(const Call&) = nullptr;

  /// Primitives run either as a loop, which the fusing pass can join with others...
  kernels::Loop (*loop)(std::span<const Type> x, const Type& y, const Attrs&) = nullptr;
  /// ... or by a kernel of their own, which writes all of y.
  void (*kernel)(const KernelCall&) = nullptr;
  /// Makes what the kernel needs besides its operands and keeps for all programs, memory for each thread, and
  /// returns its bytes. Called when a program is compiled: so its steps allocate nothing.
  std::size_t (*reserve)(std::span<const Type> x, const Type& y, const Attrs&) = nullptr;
  /// Of kernels whose results a loop can take a part at a time (core/compile/epilogues.hpp).
  Parts parts{};
  /// Multiplications and additions of one call, where it isn't one an element.
  double (*flops)(std::span<const Type> x, const Type& y, const Attrs&) = nullptr;

  /// Heavy ops that take bf16 operands and sum in f32: the attributes with which the result is of this dtype.
  /// What CompileOptions::precision computes in bf16.
  Attrs (*with_result)(const Attrs&, DType) = nullptr;

  /// Ops that only choose among x[0]'s elements: of rounded elements they choose the rounded one, so they may
  /// as well work on the smaller dtype. Whether these do that with these attributes.
  bool (*chooses)(const Attrs&) = nullptr;

  /// If y is elements of x[0] that follow one another, in their order: the number of the first. The memory
  /// plan may make such a copy a view.
  std::optional<std::int64_t> (*run_of)(const Type& x, const Attrs&) = nullptr;

  bool pointwise = false;    // y[i] depends on x[i] alone
  bool commutative = false;  // in its first two inputs
  bool view = false;         // y is x[0]'s elements in the same order
  bool can_fail = false;     // refuses some values at run time: runs before any State changes
  bool must_run = false;     // checks its input: never removed as unused

  constexpr bool composed() const { return expand != nullptr; }
  constexpr bool differentiable() const { return vjp_each || expand || vjp[0] || vjp[1] || vjp[2] || vjp[3]; }
};

}  // namespace tapestry
