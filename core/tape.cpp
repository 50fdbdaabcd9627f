#include <tapestry/core/language.hpp>
#include <tapestry/core/tape.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>

#include <boost/container/small_vector.hpp>

namespace tapestry {
namespace {

/// "matmul: inner dimensions differ: x [100, 3072] (train.cpp:12) · fc1/weight [3071, 500] (train.cpp:14)"
std::string describe_mismatch(const Op& op, std::string_view reason, std::span<const Var> inputs,
                              Location at) {
  std::string out = text(to_string(at), ": ", op.name, ": ", reason);
  const bool mixed =
      std::ranges::any_of(inputs, [&](const Var& v) { return v.dtype() != inputs.front().dtype(); });
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Var& v = inputs[i];
    const Graph& graph = v.tape().graph();
    out += text(i ? " · " : ": ", label(graph, v.id()), ' ', mixed ? text(v.type()) : text(v.shape()), " (",
                to_string(graph.node(v.id()).at), ')');
  }
  return out;
}

/// Throws TypeMismatch unless there can be a value of this shape.
void check_shape(const Shape& shape) {
  const bool possible = std::ranges::all_of(shape, [](std::int64_t extent) { return extent >= 0; });
  require_type(possible, "there is no shape ", shape);
  try {
    shape.elements();
  } catch (const Error& too_many) {
    throw TypeMismatch(too_many.what());
  }
}

}  // namespace

Type Var::type() const { return tape().graph().type(id_); }

const Var* Operand::held_var() const {
  const Var* var = std::get_if<Var>(&held_);
  if (var && !var->is_current()) {
    fail(to_string(at_), ": a variable was used after the tape that it was recorded on");
  }
  return var;
}

Tape* Operand::tape() const {
  const Var* var = held_var();
  return var ? &var->tape() : nullptr;
}

std::optional<DType> Operand::dtype() const {
  if (const Var* var = held_var()) return var->dtype();
  if (const State* state = std::get_if<State>(&held_)) return state->type().dtype;
  if (const Tensor* tensor = std::get_if<Tensor>(&held_)) return tensor->dtype();
  return std::nullopt;
}

Var Operand::on(Tape& tape, DType dtype) const {
  if (const Var* var = held_var()) {
    if (&var->tape() != &tape) {
      fail(to_string(at_), ": ", label(var->tape().graph(), var->id()), " was recorded on another tape");
    }
    return *var;
  }
  if (const State* state = std::get_if<State>(&held_)) return tape.read(*state, at_);
  if (const Tensor* tensor = std::get_if<Tensor>(&held_)) return tape.constant(*tensor, at_);
  return tape.constant(std::get<double>(held_), dtype, at_);
}

Var Operand::var() const {
  const Var* var = held_var();
  if (!var) fail(to_string(at_), ": a variable is needed here, not a number, tensor or state");
  return *var;
}

std::uint32_t Tape::next_recording() {
  static std::atomic<std::uint32_t> count{0};
  return ++count;
}

Var Tape::input(std::string name, const Type& type, Location at) {
  try {
    check_shape(type.shape);
  } catch (const TypeMismatch& mismatch) {
    fail(to_string(at), ": input ", name, ": ", mismatch.what());
  }
  const auto position = std::int64_t(graph_.arguments.size());
  const ValueId id =
      graph_.append(language::input, type, {}, InputAttrs{std::move(name), type, position}, at);
  graph_.arguments.push_back(id);
  return {*this, id};
}

Var Tape::constant(const Tensor& value, Location at) {
  return append(language::constant, {}, ConstantAttrs{value}, at);
}

Var Tape::constant(double value, DType dtype, Location at) {
  if (!is_floating(dtype) && std::nearbyint(value) != value) {
    fail(to_string(at), ": ", value, " is no ", name_of(dtype));
  }
  return constant(Tensor::scalar(value).to(dtype), at);
}

Var Tape::read(const State& state, Location at) {
  const auto it = reads_.find(state.id());
  if (it != reads_.end()) return {*this, it->second};
  const Var var = append(language::state, {}, StateAttrs{state}, at);
  reads_.emplace(state.id(), var.id());
  return var;
}

void Tape::write(const State& state, const Operand& value) {
  const Var var = value.on(*this, state.type().dtype);
  if (var.type() != state.type()) {
    fail(to_string(value.at()), ": state ", state.name(), " is ", state.type(), ", its new value ",
         var.type());
  }
  const auto [it, fresh] = writes_.emplace(state.id(), graph_.updates.size());
  if (fresh) {
    graph_.updates.push_back({state, var.id()});
  } else {
    graph_.updates[it->second].value = var.id();
  }
  reads_.insert_or_assign(state.id(), var.id());
}

Var Tape::append(const Op& op, std::span<const Var> inputs, Attrs attrs, Location at) {
  return append_with(
      op, inputs, [&](std::span<const Var>) { return std::move(attrs); }, at);
}

Var Tape::append_with(const Op& op, std::span<const Var> inputs, AttrsOf attrs_of, Location at) {
  if (!scopes_.empty()) at = scopes_.back().at;
  boost::container::small_vector<ValueId, 4> ids;
  boost::container::small_vector<Type, 4> types;
  for (const Var& input : inputs) {
    if (&input.tape() != this) {
      fail(to_string(at), ": ", op.name, ": an operand was recorded on another tape");
    }
    ids.push_back(input.id());
    types.push_back(input.type());
  }
  const std::span<const Type> signature(types.data(), types.size());
  try {
    require_type(op.arity == kVariadic || std::size_t(op.arity) == inputs.size(), "takes ", op.arity,
                 " operands, not ", inputs.size());
    Attrs attrs = attrs_of(inputs);
    Type type = op.type({signature, attrs});
    check_shape(type.shape);
    return {*this, graph_.append(op, std::move(type), {ids.data(), ids.size()}, std::move(attrs), at,
                                 scopes_.empty() ? nullptr : scopes_.back().name)};
  } catch (const TypeMismatch& mismatch) {
    throw Error(describe_mismatch(op, mismatch.what(), inputs, at));
  }
}

Var Tape::append_like(const Node& node, std::span<const Var> inputs) {
  boost::container::small_vector<ValueId, 4> ids;
  for (const Var& input : inputs) ids.push_back(input.id());
  const bool scoped = !scopes_.empty();
  return {*this, graph_.append(*node.op, node.type, {ids.data(), ids.size()}, node.attrs,
                               scoped ? scopes_.back().at : node.at, scoped ? scopes_.back().name : nullptr)};
}

void Tape::recompute_for_gradients(Region region) {
  if (region.first < region.end) regions_.push_back(region);
}

Graph Tape::take(std::span<const Var> outputs) {
  for (const Var& output : outputs) {
    require(&output.tape() == this, "an output was recorded on another tape");
    graph_.outputs.push_back(output.id());
  }
  reads_.clear();
  writes_.clear();
  regions_.clear();
  recording_ = next_recording();
  return std::exchange(graph_, {});
}

Scope::Scope(Tape& tape, std::string_view name, Location at) : tape_(tape) {
  Tape::Frame frame{nullptr, at};
  if (!tape_.scopes_.empty()) frame = tape_.scopes_.back();
  if (!name.empty()) {
    frame.name =
        std::make_shared<const std::string>((frame.name ? *frame.name + '/' : "") + std::string(name));
  }
  tape_.scopes_.push_back(std::move(frame));
}

Scope::Scope(Tape& tape, const Node& node) : tape_(tape) { tape_.scopes_.push_back({node.scope, node.at}); }

Var emit(const Op& op, std::initializer_list<Operand> operands, Attrs attrs) {
  return emit(op, std::span(operands.begin(), operands.size()), std::move(attrs));
}

Var emit(const Op& op, std::span<const Operand> operands, Attrs attrs) {
  return emit_with(op, operands, [&](std::span<const Var>) { return std::move(attrs); });
}

Var emit_with(const Op& op, std::initializer_list<Operand> operands, AttrsOf attrs) {
  return emit_with(op, std::span(operands.begin(), operands.size()), attrs);
}

Var emit_with(const Op& op, std::span<const Operand> operands, AttrsOf attrs) {
  Tape* tape = nullptr;
  std::optional<DType> dtype;
  for (const Operand& operand : operands) {
    if (!tape) tape = operand.tape();
    // A number takes the dtype of the values it meets; a condition says nothing about it.
    const auto own = operand.dtype();
    if (own && (!dtype || *dtype == DType::boolean)) dtype = own;
  }
  require(!operands.empty(), op.name, " needs at least one operand");
  const Location at = operands.front().at();
  if (!tape)
    fail(to_string(at), ": ", op.name,
         ": none of the operands is a variable on a tape; tape.read(state) and "
         "tape.constant(tensor) make one");
  boost::container::small_vector<Var, 4> inputs;
  for (const Operand& operand : operands) inputs.push_back(operand.on(*tape, dtype.value_or(DType::f32)));
  return tape->append_with(op, {inputs.data(), inputs.size()}, attrs, at);
}

}  // namespace tapestry
