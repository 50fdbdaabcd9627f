// Short ways to say what a recorded value is: its numbers, its formula, the formula that a pass makes of it.
#pragma once

#include <tapestry/core/tape.hpp>

#include <functional>
#include <initializer_list>
#include <string>

namespace tapestry::test {

/// An f64 constant.
Var f64(Tape& tape, std::initializer_list<double> values);
Var f64(Tape& tape, const Shape& shape, std::initializer_list<double> values);

/// "0 -0 inf nan 1.5", the elements in row-major order, six digits each.
std::string numbers(const Tensor& tensor);
std::string numbers(const Var& value);

/// "add(x, mul(y, 2))": inputs by their names, constants of one element by their value, attributes in braces.
std::string formula(const Graph& graph, ValueId id);

/// What the simplify pass makes of f(x, y), composed ops expanded. x and y are f64 [2, 3] if not told
/// otherwise.
std::string simplified(const std::function<Var(Var x, Var y)>& f, const Type& x = {DType::f64, {2, 3}},
                       const Type& y = {DType::f64, {2, 3}});

/// What all passes make of the gradient of f(x) with cotangent g.
std::string simplified_gradient(const std::function<Var(Var x)>& f, const Type& x = {DType::f64, {2, 3}});

/// The largest difference between an op's own derivative rule and the derivative of its definition,
/// relative to numbers above 1.
/// f records the op last.
double rule_error(const std::function<Var(Var)>& f, const Tensor& x);

}  // namespace tapestry::test
