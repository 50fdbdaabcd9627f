// Deliberately broken derivative rules, to see that the gradient checks notice. A mutation lives as a
// stand-in for an op's rules, in this thread, while a Mutant does.
#pragma once

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/op.hpp>
#include <tapestry/core/tape.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry::test {

struct Mutation {
  std::string name;
  /// The broken cotangent of an operand; sets `applied` where it is another formula than the right one.
  std::function<Var(const Vjp&, int operand, bool& applied)> rule;
  /// The order of the check that has to notice.
  int order = 1;
  /// Not to be applicable to any case is a gap in the cases.
  bool always_applicable = true;
};

/// The right rule, through the same machinery: the checks have to pass it.
Mutation intact();

/// zeroed, negated, scaled by 1.001, cotangent ignored, dropped i, swapped i j, broadcast sum skipped i,
/// wrong axis, reversed, constant (for the second order), constant in the operands (the same). `operands` are
/// those with a gradient; `has_axes` says that the op works along axes.
std::vector<Mutation> mutations(const std::vector<int>& operands, bool has_axes);

/// While it lives, `op` is differentiated by the mutation.
class Mutant {
 public:
  Mutant(const Op& op, const Mutation& mutation);
  ~Mutant();
  Mutant(const Mutant&) = delete;
  Mutant& operator=(const Mutant&) = delete;

  /// Did it change a rule that was asked for?
  bool applied() const;

 private:
  Op stand_in_;
  RuleOverride override_;
};

}  // namespace tapestry::test
