// Lowering: the state shared by its two parts, instructions (loop_lower.cpp) and outputs (loop_outputs.cpp).
#pragma once

#include <tapestry/ops/kernels/loop_plan.hpp>
#include <tapestry/ops/kernels/loop_slots.hpp>

#include <map>
#include <span>
#include <utility>
#include <vector>

namespace tapestry::kernels {

/// Rows at least so long are gone over one by one where an operand has one value for each; for shorter ones
/// that value is repeated.
inline constexpr std::int64_t kLongRow = 64;

/// What an operand has become.
struct Value {
  int slot = -1;
  Level level = Level::element;
  bool steady = false;
  int pending = -1;  ///< the instruction, waiting to become one pass with the only one to use its result
};

class Lowering {
 public:
  Lowering(LoopPlan& plan, const Geometry& geometry)
      : plan_(plan), geometry_(geometry), loop_(plan.loop), block_{plan} {}

  /// False if the arena would be too large.
  bool run();

 private:
  static constexpr int kNoClaim = -1;

  // Values
  Value value_of(const Operand& operand);
  Value constant(const Operand& operand);
  Value leaf(int input, const Shape& strides);
  Value random(const Instruction& instruction, const Shape& strides);
  Value add(Leaf& leaf, const Shape& strides);
  bool is_lane_dtype(DType dtype) const { return dtype == lane_dtype(); }
  DType lane_dtype() const;

  // Steps
  void count_uses();
  void lower_instruction(std::size_t i);
  bool may_wait(std::size_t i, std::span<const Value> values) const;
  Value combine(Code code, std::span<Value> values, int claim);
  Value settled(const Value& value);
  Value emit(Code code, std::span<const Value> values, int claim);
  Value emit(Sweep sweep, std::span<const Value> values, int claim);
  Value emit_step(Step step, std::span<const Value> values, int claim);
  Value emit_fold(Reduce reduce, const Value& value, int claim);
  Value emit_pick(const Value& value, const Value& number, int claim);
  Value emit_repeat(const Value& value, std::int64_t repeats, int claim);
  Value finish_step(Step& step, std::span<const Value> operands, Value result, std::int64_t bytes, int claim);
  /// The value at this level or a higher one.
  Value raised(const Value& value, Level level);
  /// A copy of the value at this level.
  Value raise(const Value& value, Level level, int claim);
  /// The value of each row as a vector.
  Value vectors(const Value& value);

  // Segments
  void gather_segments();

  // Outputs
  void claim_outputs();
  Level level_of(const LoopOutput& output) const { return output.per_row ? Level::row : Level::element; }
  bool can_be_direct(std::size_t o) const;
  void lower_output(std::size_t o);
  void lower_reduction(std::size_t o);
  void share_moments();
  void find_clashes();
  void join_steps();
  bool place();

  friend class Gathering;
  struct Direct {
    int slot;
    int when;
  };

  LoopPlan& plan_;
  const Geometry& geometry_;
  const Loop& loop_;
  const BlockShape block_;
  Slots slots_;
  std::map<int, Value> inputs_;
  std::map<std::pair<int, Level>, Value> raised_;  // by slot
  std::map<int, Value> vectors_;                   // by slot
  std::vector<Value> results_;
  std::vector<std::vector<Value>> operands_;  // of pending instructions
  std::vector<int> uses_;
  std::vector<int> claims_;
  std::map<std::size_t, Direct> direct_outputs_;
  std::vector<std::pair<double, std::int64_t>> constant_keys_;
  std::vector<Value> constant_values_;
};

}  // namespace tapestry::kernels
