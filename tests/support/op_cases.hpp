// The suite's table of op cases: each op in use, on small f64 inputs that stay away from kinks. One table
// serves the gradient checks, the mutants, and the test that every op has its cases. What a case covers is
// read off the graph it records, never claimed.
#pragma once

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/tape.hpp>
#include <tapestry/core/tensor.hpp>

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::test {

/// The value an op should have, by plain loops: for ops that the oracle's vectors don't have.
using Reference = std::function<Tensor(std::span<const Tensor>)>;

struct OpCase {
  std::string op;
  std::string name;
  CheckedFunction f;
  std::vector<Tensor> inputs;
  Reference reference{};

  std::string label() const { return op + '/' + name; }
};

/// Where a difference can't look: at kinks, ties, poles and far out. The gradients of all floating inputs,
/// for a cotangent of ones, one list of numbers an input.
struct OpEdge {
  std::string op;
  std::string name;
  CheckedFunction f;
  std::vector<Tensor> inputs;
  std::vector<std::vector<double>> gradients;

  std::string label() const { return op + '/' + name; }
};

/// Collects the cases; each family adds its own.
class OpTable {
 public:
  void add(std::string_view op, std::string_view name, CheckedFunction f, std::vector<Tensor> inputs,
           Reference reference = {});
  void edge(std::string_view op, std::string_view name, CheckedFunction f, std::vector<Tensor> inputs,
            std::vector<std::vector<double>> gradients);

  std::vector<OpCase> cases;
  std::vector<OpEdge> edges;
};

/// All of them.
const OpTable& op_table();
std::vector<const OpCase*> cases_of(std::string_view op);

/// What a case does to its op: "uses the op", "row 0" (operand 0 is broadcast as a row), "column 1", "scalar
/// 0", "both" (two operands broadcast along different axes), "equal shapes", "repeated operand", "size 1",
/// "empty", "scalar", "has axes", "takes several axes", "first axis", "last axis", "several axes", "square"
/// (the last two extents of an operand are equal).
std::set<std::string> coverage(const OpCase& c);

/// Which operands of the op are floating in some case: those that a gradient may be asked for.
std::vector<int> floating_operands(std::string_view op);

/// Has it a rule or a differentiable definition? Ops without say why in no_gradient.
bool differentiated(std::string_view op);

/// 1e-7 for primitives, 1e-5 for composed ops.
double tolerance(std::string_view op);

// --- inputs, drawn from a stream of the shape and of what was drawn before in the process's table ---

/// Evenly distributed in [lo, hi).
Tensor uniform(const Shape& shape, double lo, double hi);
/// Signed, with magnitudes in [lo, hi).
Tensor signed_values(const Shape& shape, double lo = 0.3, double hi = 1.5);
/// No two nearer than 0.2, none nearer to 0 than 0.1, of both signs; every `offset` between 0 and 0.2 gives
/// values that keep a distance from those of other offsets too.
Tensor distinct(const Shape& shape, double offset = 0);
Tensor doubles(std::initializer_list<double> values, const Shape& shape);
Tensor booleans(const Shape& shape);
/// i64.
Tensor labels(std::initializer_list<std::int64_t> values);

/// One value from an element of each input, broadcast; f64.
Reference elementwise(std::function<double(std::span<const double>)> value);

using Draw = std::function<Tensor(const Shape&)>;
using Unary = std::function<Var(const Var&)>;
using Binary = std::function<Var(const Var&, const Var&)>;

/// Matrix, vector, scalar, size 1, empty.
void unary_cases(OpTable& t, std::string_view op, const Unary& f, const Draw& x,
                 const std::function<double(double)>& value = {});
/// Each operand broadcast in each direction, both at once, equal shapes, the same operand twice, size 1,
/// empty.
void binary_cases(OpTable& t, std::string_view op, const Binary& f, const Draw& a, const Draw& b,
                  const std::function<double(double, double)>& value = {});

void add_pointwise_cases(OpTable& t);
void add_compare_cases(OpTable& t);
void add_reduce_cases(OpTable& t);
void add_shape_cases(OpTable& t);
void add_part_cases(OpTable& t);
void add_matmul_cases(OpTable& t);
void add_conv_cases(OpTable& t);
void add_pool_cases(OpTable& t);
void add_attention_cases(OpTable& t);
void add_network_cases(OpTable& t);  // activations that reduce, norms, losses

}  // namespace tapestry::test
