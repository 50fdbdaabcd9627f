// The differential tests' reference: a graph run one node at a time by plain loops in f64, with none of the
// kernels, and for each element a bound of what rounding in the graph's own dtypes may have made of it.
//
// The bound is a running error analysis to first order and above: an operand within ea of a and one within eb
// of b have a product within |a| eb + |b| ea + ea eb + u |a b| of a * b, where u is the unit roundoff of the
// node's dtype (2^-24 for f32, 2^-8 for bf16); a sum of n elements adds n u sum|x|, whatever the order of
// summation; a function is looked at on the ends of its operand's interval. A comparison whose operands'
// intervals overlap is undecided, and what it selects may be either. So kinks and ties need no special care:
// near one the bound is the size of the jump. Where nothing can be said, the bound is infinite.
#pragma once

#include <tapestry/core/graph.hpp>

#include <span>
#include <vector>

namespace tapestry::test {

struct Approximate {
  Type type;
  std::vector<double> value;
  std::vector<double> error;  // absolute, of each element
};

/// All values of the graph, composed ops expanded; State as it is now. Throws for an op that it doesn't know.
struct Approximation {
  Graph graph;                      // expanded
  std::vector<Approximate> values;  // by node
};
Approximation approximate(const Graph& graph, std::span<const Tensor> arguments);

/// How far `tensor` is outside of the bounds: 0 if inside, otherwise a sentence about the worst element.
struct Deviation {
  std::int64_t checked = 0;   // elements with a bound that says something
  std::int64_t elements = 0;  // all
  std::string worst{};        // empty if all are inside
};
Deviation deviation(const Tensor& tensor, const Approximate& expected);

}  // namespace tapestry::test
