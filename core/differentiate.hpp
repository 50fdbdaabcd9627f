// Reverse-mode differentiation: walks the graph from a result back to what it was computed from and appends
// the adjoint graph, made of the same ops; so gradients of gradients need nothing more.
#pragma once

#include <tapestry/core/tape.hpp>

#include <optional>
#include <span>
#include <vector>

namespace tapestry {

/// d y / d x for each x of `wrt`: sums over y of cotangent * dy/dx, with the shapes of wrt. Without a
/// cotangent y has to be a scalar (or of one element). Zeros where y doesn't depend on x. Throws if y or an x
/// isn't floating.
std::vector<Var> gradients(const Operand& y, std::span<const Var> wrt, std::optional<Var> cotangent = {});
/// With respect to the current values of states: parameters, mostly.
std::vector<Var> gradients(const Operand& y, std::span<const State> wrt, std::optional<Var> cotangent = {});
/// With respect to one variable.
Var gradient(const Operand& y, const Operand& x, std::optional<Var> cotangent = {});

/// While it lives, this thread differentiates `op` by the rules of `stand_in`: for tests, which break rules
/// to see that the checks notice. One at a time; a
/// second hides the first while it lives.
class RuleOverride {
 public:
  RuleOverride(const Op& op, const Op& stand_in);
  ~RuleOverride();
  RuleOverride(const RuleOverride&) = delete;
  RuleOverride& operator=(const RuleOverride&) = delete;

 private:
  const Op *hidden_op_, *hidden_stand_in_;
};

}  // namespace tapestry
