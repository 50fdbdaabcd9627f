// The tape records a computation: ops on variables become nodes of a graph, shapes and types checked at once.
//
//   Tape tape;
//   Var x = tape.input("x", {DType::f32, {100, 3072}});
//   Var y = relu(matmul(x, weight) + bias);   // weight and bias are State
//
// Every op takes Operands, made implicitly from a Var, a State, a Tensor or a number; the conversion also
// notes the caller's line, so a mistake is reported there.
#pragma once

#include <tapestry/core/function_ref.hpp>
#include <tapestry/core/graph.hpp>

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace tapestry {

class Tape;

/// A light handle to a recorded value. Valid as long as its tape, and until take(): one that was kept for
/// longer, from an earlier call of a traced function say, is an Error where another tape has taken the place.
class Var {
 public:
  Var(Tape& tape, ValueId id);

  Tape& tape() const;
  /// Is the tape still what it was recorded on?
  bool is_current() const;
  ValueId id() const { return id_; }
  // By value: a reference into the graph would not survive the next op.
  Type type() const;
  Shape shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  int rank() const { return shape().rank(); }

  friend bool same(const Var& a, const Var& b) {
    return a.tape_ == b.tape_ && a.recording_ == b.recording_ && a.id_ == b.id_;
  }

 private:
  Tape* tape_;
  ValueId id_;
  std::uint32_t recording_;  // Tape::recording() when it was made
};

/// What an op accepts, with the line that passed it.
class Operand {
 public:
  Operand(const Var& var, Location at = Location::current()) : at_(at), held_(var) {}
  Operand(const State& state, Location at = Location::current()) : at_(at), held_(state) {}
  Operand(Tensor value, Location at = Location::current()) : at_(at), held_(std::move(value)) {}
  template <class T>
  requires std::is_arithmetic_v<T> Operand(T number, Location at = Location::current())
      : at_(at), held_(double(number)) {}

  const Location& at() const { return at_; }
  /// The tape it is on, if it is a Var.
  Tape* tape() const;
  /// Its dtype, unless it is a number, which takes the dtype of what it is used with.
  std::optional<DType> dtype() const;
  /// Put on `tape`, numbers as scalars of `dtype`.
  Var on(Tape& tape, DType dtype) const;
  /// The variable, for an operand that has to be one already.
  Var var() const;

 private:
  const Var* held_var() const;

  Location at_;
  std::variant<Var, State, Tensor, double> held_;
};

/// Attributes that depend on the operands' shapes; may throw TypeMismatch.
using AttrsOf = FunctionRef<Attrs(std::span<const Var>)>;

class Tape {
 public:
  Tape() = default;
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A value given anew at each step. Inputs are fed in the order of their declaration.
  Var input(std::string name, const Type& type, Location at = Location::current());
  Var constant(const Tensor& value, Location at = Location::current());
  Var constant(double value, DType dtype, Location at = Location::current());
  /// The state's value: as at the start of the step or, after a write, as written.
  Var read(const State& state, Location at = Location::current());
  /// Declares that after the step `state` holds `value`, of the same type.
  void write(const State& state, const Operand& value);

  /// Has a new value been declared?
  bool is_written(const State& state) const { return writes_.contains(state.id()); }

  /// Appends a node. `inputs` are on this tape. Errors name `at`.
  Var append(const Op& op, std::span<const Var> inputs, Attrs attrs, Location at);
  Var append_with(const Op& op, std::span<const Var> inputs, AttrsOf attrs, Location at);
  /// Appends the same op as `node`, of this or another graph, with operands of the same types: so its own is
  /// known.
  Var append_like(const Node& node, std::span<const Var> inputs);

  /// What was recorded from `first` up to `end` is computed again for gradients instead of being kept for
  /// them: see core/remat.hpp.
  struct Region {
    ValueId first;
    ValueId end;
  };
  void recompute_for_gradients(Region region);
  /// By `end`, ascending; nested ones come before what they are nested in.
  std::span<const Region> regions() const { return regions_; }

  const Graph& graph() const { return graph_; }
  /// Which recording this is, of all that there were: another one after take().
  std::uint32_t recording() const { return recording_; }
  /// Makes room to record as much as there is in `graph`.
  void reserve(const Graph& graph) { graph_.reserve(graph); }
  /// The graph with these outputs and the updates declared so far; the tape is empty afterwards.
  Graph take(std::span<const Var> outputs = {});
  Var at(ValueId id) { return {*this, id}; }

 private:
  friend class Scope;
  struct Frame {
    std::shared_ptr<const std::string> name;
    Location at;
  };

  static std::uint32_t next_recording();

  Graph graph_;
  std::uint32_t recording_ = next_recording();
  std::unordered_map<const void*, ValueId> reads_;       // State id -> its current value
  std::unordered_map<const void*, std::size_t> writes_;  // State id -> position in graph_.updates
  std::vector<Frame> scopes_;
  std::vector<Region> regions_;
};

/// While it lives, what is recorded belongs to a named part of the model ("fc1") and to the line that called
/// it. The outermost scope's line wins: that is the user's.
class Scope {
 public:
  Scope(Tape& tape, std::string_view name, Location at);
  /// As `node` was recorded: for what replaces it or is derived from it.
  Scope(Tape& tape, const Node& node);
  Scope(const Operand& x, std::string_view name) : Scope(x.var().tape(), name, x.at()) {}
  ~Scope() { tape_.scopes_.pop_back(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Tape& tape_;
};

/// Records one op: what every function of the vocabulary comes down to. Errors name the line of the first
/// operand.
Var emit(const Op& op, std::initializer_list<Operand> operands, Attrs attrs = {});
Var emit(const Op& op, std::span<const Operand> operands, Attrs attrs = {});
/// The same where the attributes depend on the operands.
Var emit_with(const Op& op, std::initializer_list<Operand> operands, AttrsOf attrs);
Var emit_with(const Op& op, std::span<const Operand> operands, AttrsOf attrs);

inline Var::Var(Tape& tape, ValueId id) : tape_(&tape), id_(id), recording_(tape.recording()) {}
inline bool Var::is_current() const { return tape_->recording() == recording_; }
inline Tape& Var::tape() const {
  require(is_current(), "a variable was used after the tape that it was recorded on");
  return *tape_;
}

inline const Var& Vjp::a() const { return x[0]; }
inline const Var& Vjp::b() const { return x[1]; }

}  // namespace tapestry
