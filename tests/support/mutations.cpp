#include "mutations.hpp"

#include <tapestry/core/language.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>

#include <algorithm>

namespace tapestry::test {
namespace {

// Rules are plain functions: what the stand-in's does is kept here.
thread_local struct {
  const Op* op = nullptr;
  const Mutation* mutation = nullptr;
  bool applied = false;
} current;

Var number(Tape& tape, double value, const Type& type) {
  return language::fit(tape.constant(value, type.dtype), type.shape);
}

/// The derivative of a composed op's definition. Of copies, so that an operand given twice has two gradients.
Var derived(const Vjp& v, int operand) {
  std::vector<Var> copies;
  for (const Var& x : v.x) copies.push_back(is_floating(x.dtype()) ? reshape(x, x.shape()) : x);
  const Var y = current.op->expand({copies, v.attrs});
  return gradient(y, copies[std::size_t(operand)], v.g);
}

/// The right gradient, in the operand's shape.
Var right(const Vjp& v, int operand) {
  const Op& op = *current.op;
  const Var& x = v.x[std::size_t(operand)];
  const auto rule = [&] {
    if (op.vjp_each) return op.vjp_each(v, operand);
    if (op.composed() && !op.vjp[0]) return derived(v, operand);
    const auto own = std::size_t(operand) < op.vjp.size() ? op.vjp[std::size_t(operand)] : nullptr;
    return own ? own(v) : number(x.tape(), 0, x.type());
  };
  return language::fit(rule(), x.shape());
}

Var with_cotangent(const Vjp& v, int operand, const Var& g) { return right({v.x, v.y, g, v.attrs}, operand); }

/// The operands and the result as constants.
Var with_constants(const Vjp& v, int operand) {
  std::vector<Var> x;
  for (const Var& each : v.x) x.push_back(is_floating(each.dtype()) ? stop_gradient(each) : each);
  const Var y = stop_gradient(v.y);
  return right({x, y, v.g, v.attrs}, operand);
}

/// The axes of y along which x would be repeated to become y; none if it couldn't.
std::vector<int> repeated_axes(const Shape& x, const Shape& y) {
  if (broadcast(x, y) != y) return {};
  std::vector<int> axes;
  for (int axis = 0; axis < y.rank(); ++axis) {
    const int own = axis - (y.rank() - x.rank());
    if (y[axis] > 1 && (own < 0 || x[own] == 1)) axes.push_back(axis);
  }
  return axes;
}

/// 1 in the first slice along the axes, elsewhere 0.
Tensor first_slice(const Type& type, const std::vector<int>& axes) {
  Tensor mask(type);
  const Shape strides = strides_of(type.shape);
  const auto values = mask.mutable_values<double>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::ranges::all_of(
        axes, [&](int axis) { return std::int64_t(i) / strides[axis] % type.shape[axis] == 0; });
  }
  return mask;
}

Mutation simple(std::string name, Var (*rule)(const Vjp&, int operand), int order = 1) {
  return {std::move(name),
          [rule](const Vjp& v, int operand, bool& applied) {
            applied = true;
            return rule(v, operand);
          },
          order};
}

Mutation dropped(int which) {
  return {text("dropped ", which), [=](const Vjp& v, int operand, bool& applied) {
            if (operand != which) return right(v, operand);
            applied = true;
            const Var& x = v.x[std::size_t(operand)];
            return number(x.tape(), 0, x.type());
          }};
}

Mutation swapped(int a, int b) {
  return {text("swapped ", a, ' ', b),
          [=](const Vjp& v, int operand, bool& applied) {
            const bool here = (operand == a || operand == b) && std::size_t(std::max(a, b)) < v.x.size() &&
                              v.x[std::size_t(a)].type() == v.x[std::size_t(b)].type();
            if (!here) return right(v, operand);
            applied = true;
            return right(v, operand == a ? b : a);
          },
          1, false};
}

Mutation broadcast_skipped(int which) {
  return {text("broadcast sum skipped ", which),
          [=](const Vjp& v, int operand, bool& applied) {
            const auto axes = repeated_axes(v.x[std::size_t(operand)].shape(), v.g.shape());
            if (operand != which || axes.empty()) return right(v, operand);
            applied = true;
            return with_cotangent(v, operand, v.g * v.g.tape().constant(first_slice(v.g.type(), axes)));
          },
          1, false};
}

Mutation wrong_axis(bool has_axes) {
  return {"wrong axis",
          [](const Vjp& v, int operand, bool& applied) {
            const Var g = right(v, operand);
            const Shape shape = g.shape();
            if (shape.rank() < 2 || shape.back() != shape[shape.rank() - 2] || shape.back() < 2) return g;
            applied = true;
            return transpose(g);
          },
          1, has_axes};
}

Mutation reversed() {
  return {"reversed", [](const Vjp& v, int operand, bool& applied) {
            const Var g = right(v, operand);
            applied = applied || g.shape().elements() > 1;
            return flip(g);
          }};
}

}  // namespace

Mutation intact() { return simple("intact", right, 2); }

std::vector<Mutation> mutations(const std::vector<int>& operands, bool has_axes) {
  std::vector<Mutation> all{
      simple("zeroed", [](const Vjp& v, int i) { return right(v, i) * 0; }),
      simple("negated", [](const Vjp& v, int i) { return -right(v, i); }),
      simple("scaled", [](const Vjp& v, int i) { return right(v, i) * 1.001; }),
      simple("cotangent ignored",
             [](const Vjp& v, int i) { return with_cotangent(v, i, number(v.g.tape(), 1, v.g.type())); }),
      simple(
          "constant", [](const Vjp& v, int i) { return stop_gradient(right(v, i)); }, 2),
      simple("constant in the operands", with_constants, 2),
      wrong_axis(has_axes),
      reversed()};
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (operands.size() > 1) all.push_back(dropped(operands[i]));
    all.push_back(broadcast_skipped(operands[i]));
    for (std::size_t j = 0; j < i; ++j) all.push_back(swapped(operands[j], operands[i]));
  }
  return all;
}

Mutant::Mutant(const Op& op, const Mutation& mutation) : stand_in_(op), override_(op, stand_in_) {
  current = {&op, &mutation, false};
  stand_in_.vjp = {};
  stand_in_.vjp_each = [](const Vjp& v, int operand) {
    return current.mutation->rule(v, operand, current.applied);
  };
}

Mutant::~Mutant() { current = {}; }

bool Mutant::applied() const { return current.applied; }

}  // namespace tapestry::test
