#include "graphs.hpp"

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/language.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <algorithm>
#include <cmath>

namespace tapestry::test {
namespace {

/// 1, -2, 3, -1, 2, -3, 1, ...
Tensor signed_numbers(const Shape& shape) {
  Tensor tensor(DType::f64, shape);
  const auto values = tensor.mutable_values<double>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = double(i % 3 + 1) * (i % 2 ? -1 : 1);
  return tensor;
}

double difference(double a, double b) { return std::abs(a - b) / std::max({1.0, std::abs(a), std::abs(b)}); }

double worst(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.elements(); ++i) largest = std::fmax(largest, difference(a.at(i), b.at(i)));
  return largest;
}

}  // namespace

Var f64(Tape& tape, std::initializer_list<double> values) {
  return f64(tape, {std::int64_t(values.size())}, values);
}
Var f64(Tape& tape, const Shape& shape, std::initializer_list<double> values) {
  return tape.constant(Tensor::from(values, shape));
}

std::string numbers(const Tensor& tensor) {
  std::string out;
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    const double value = tensor.at(i);
    out += (i ? " " : "") + (std::isnan(value) ? "nan" : text(value));  // NaNs have a sign, of no meaning
  }
  return out;
}
std::string numbers(const Var& value) { return numbers(evaluate(value)); }

std::string formula(const Graph& graph, ValueId id) {
  if (&graph.op(id) == &language::input) return label(graph, id);
  const Tensor* value = language::constant_value(graph, id);
  if (value && value->elements() == 1) return numbers(*value);
  std::string out(graph.op(id).name);
  if (!value) {
    out += '(';
    for (const ValueId input : graph.inputs(id)) {
      if (out.back() != '(') out += ", ";
      out += formula(graph, input);
    }
    out += ')';
  }
  return out + to_string(graph.node(id).attrs);
}

std::string simplified(const std::function<Var(Var, Var)>& f, const Type& x, const Type& y) {
  Tape tape;
  const Var a = tape.input("x", x);
  const Var b = tape.input("y", y);
  const Var result = f(a, b);
  const Graph graph = simplify(expand(tape.take({&result, 1})));
  return formula(graph, graph.outputs.front());
}

std::string simplified_gradient(const std::function<Var(Var)>& f, const Type& x) {
  Tape tape;
  const Var a = tape.input("x", x);
  const Var y = f(a);
  const Var g = tape.input("g", y.type());
  const Var result = gradient(y, a, g);
  Graph graph = expand(tape.take({&result, 1}));
  for (const Pass& pass : passes()) graph = pass.run(graph);
  return formula(graph, graph.outputs.front());
}

double rule_error(const std::function<Var(Var)>& f, const Tensor& x) {
  Tape tape;
  const Var input = tape.constant(x);
  const Var y = f(input);
  const Node node = tape.graph().node(y.id());
  require(node.op->composed() && node.op->vjp[0], node.op->name, " has no rule of its own");
  const Var definition = node.op->expand({{&input, 1}, node.attrs});
  const Var cotangent = tape.constant(signed_numbers(y.shape()));
  const Tensor own = evaluate(gradient(y, input, cotangent));
  return worst(own, evaluate(gradient(definition, input, cotangent)));
}

}  // namespace tapestry::test
