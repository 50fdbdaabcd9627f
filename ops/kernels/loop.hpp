// Fused loops: one pass over an iteration space that reads inputs, runs a straight-line program of pointwise
// instructions for each element, and stores or reduces its results. Everything pointwise and every sum,
// maximum and minimum in Tapestry runs as such a loop, of one instruction or of dozens.
//
// A Loop is plain data. CompiledLoop prepares it once; run() then needs no memory but the caller's scratch,
// and gives the same bits with any number of threads.
#pragma once

#include <tapestry/core/dtype.hpp>
#include <tapestry/core/shape.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::kernels {

/// What an element is while it is computed with, whatever the dtypes it is loaded from and stored to.
enum class Lane : std::uint8_t { f32, f64, i64 };

enum class Reduce : std::uint8_t {
  none,
  sum,
  max,
  min,
  squared_deviations,  ///< from the mean, their sum; not in i64 lanes, and by no instruction
};

/// Comparisons, logic and is_finite give 1 or 0. i64 lanes wrap around, divide towards zero, x / 0 = 0, and
/// have none of the transcendental functions.
// clang-format off
enum class Code : std::uint8_t {
  // of a
  copy, neg, abs, sign, sqrt, exp, expm1, log, log1p, sin, cos, tanh,
  gelu_slope,  ///< P(N <= a) + a p(a) for a standard normal N of density p: the derivative of a P(N <= a)
  erf, floor, logical_not, is_finite,
  // of a and b; max and min propagate NaN
  add, sub, mul, div, pow, max, min, eq, ne, lt, le, gt, ge, logical_and, logical_or,
  mul_no_nan,  ///< a * b, but 0 where a is 0, even if b is infinite or NaN
  // of a, b and c
  select,      ///< c != 0 ? a : b
  mul_add,     ///< a * b + c, rounded twice: the same bits as a mul and an add
  // of no element
  index,       ///< the position along dimension `dim` of the iteration space
  // of a key: an i64 input of two elements (a seed and a step), with strides 0
  uniform,     ///< element i, in row-major order of the iteration space, of random_uniform() with that key
  // of all of a in a row; the same for each element of that row
  row_sum, row_max, row_min,
  // of a and b, which is the same for all of a row
  row_at,      ///< the a of the row's element number b, counted from 0; 0 if there is none
};
// clang-format on

std::string_view name_of(Code code);
/// The instruction that reduces rows as an output reduces dimensions; for sums, maxima and minima.
Code row_code(Reduce reduce);
/// Operands it takes: 0 to 3.
int arity_of(Code code);

struct Operand {
  enum class Kind : std::uint8_t { none, input, result, constant };
  Kind kind = Kind::none;
  std::uint16_t index = 0;   ///< of the input, or of the instruction whose result it is
  double value = 0;          ///< of a constant in f32 and f64 lanes
  std::int64_t integer = 0;  ///< of a constant in i64 lanes

  static Operand input(std::size_t index) { return {Kind::input, std::uint16_t(index)}; }
  static Operand result(std::size_t instruction) { return {Kind::result, std::uint16_t(instruction)}; }
  static Operand constant(double value);
  static Operand constant(std::int64_t value) { return {Kind::constant, 0, double(value), value}; }
  static Operand constant(int value) { return constant(std::int64_t{value}); }
  friend bool operator==(const Operand&, const Operand&) = default;
};

/// Instruction i's value is Operand::result(i); its operands are results of earlier instructions.
struct Instruction {
  Code code = Code::copy;
  Operand a{}, b{}, c{};
  std::uint8_t dim = 0;  ///< of Code::index
};

struct LoopInput {
  DType dtype = DType::f32;
  Shape strides{};  ///< in elements, one for each dimension; any value, 0 to broadcast along it
};

/// Stored for each element (Reduce::none), or reduced over the dimensions where the stride is 0. Strides are
/// in elements; no two of the stored elements may share a place. The sum of nothing is 0, the maximum of
/// nothing is -infinity or the lowest integer. Squared deviations are as accurate as in two passes; they are
/// NaN if an element is infinite, and those of equal elements are 0.
///
/// Or for each row: once for all of a row's elements, whose strides are 0.
///
/// Conversion: float to integer truncates towards zero, number to bool is `!= 0`, to bf16 rounds to nearest
/// even; a CPU with AVX512-BF16 may make 0 of subnormal numbers.
struct LoopOutput {
  Operand value{};
  DType dtype = DType::f32;
  Reduce reduce = Reduce::none;
  Shape strides{};
  bool per_row = false;  ///< the value must be the same for all elements of a row
};

/// The dimensions from `row` on make up a row, a run of elements that is computed as a whole: then values may
/// depend on all of it, by row_sum and the like. A row has elements, and those of its values that are needed
/// at once must fit into fast memory.
struct Loop {
  Shape extents{};
  Lane lane = Lane::f32;
  std::optional<int> row{};
  std::vector<LoopInput> inputs{};
  std::vector<Instruction> code{};
  std::vector<LoopOutput> outputs{};
};

/// Rows that are computed as a whole have to stay in fast memory, several values of each: longer ones are
/// not.
inline constexpr std::size_t kMostRowBytes = 32 * 1024;

/// With so many values, its inputs and three times its instructions, a loop with rows fits() for sure.
std::int64_t row_values_that_fit(std::int64_t row_elements, Lane lane);

/// Bytes by which loops can be told apart: those of two are the same if and only if the loops are, constants
/// to the bit.
std::string identity_of(const Loop& loop);

/// One line an instruction, for people: "%2 = mul %0 in1".
std::string to_string(const Loop& loop);

/// How often a loop will run. Machine code takes longer to make than one run over a few elements; the bits
/// are the same.
enum class Use : std::uint8_t { once, often };

struct LoopPlan;

/// A loop made ready to run. Copies share the plan.
class CompiledLoop {
 public:
  /// Throws Error if the loop is malformed: operands or strides that don't fit, codes that the lane doesn't
  /// have.
  explicit CompiledLoop(const Loop& loop, Use use = Use::often);

  /// Reads `inputs` and writes `outputs`, in the order of the loop's. An output may be the same memory as an
  /// input of its dtype and strides that has no stride 0 (but within rows, if it is per row), otherwise they
  /// must not overlap. `scratch` is 64-byte aligned and has scratch_bytes(). May be called from several
  /// threads at once, each with its own scratch.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs, void* scratch) const;

  /// A stretch of the outermost dimension, and an input of which only that is there, from its beginning on.
  struct Rows {
    std::int64_t first, last;
  };
  struct PartOfInput {
    std::size_t input;
    const void* data;
  };
  /// The same for these rows, on the calling thread, which needs no scratch. The loop reduces nothing and has
  /// no rows that are computed as a whole, its outermost dimension has more than one position, and the part's
  /// input has its elements in order.
  void run_rows(const Rows& rows, const PartOfInput& part, std::span<const void* const> inputs,
                std::span<void* const> outputs) const;

  std::size_t scratch_bytes() const;
  const Loop& loop() const;

  /// Could it be compiled? Its rows may be too long.
  static bool fits(const Loop& loop);

 private:
  std::shared_ptr<const LoopPlan> plan_;
};

}  // namespace tapestry::kernels
