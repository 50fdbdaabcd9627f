// Rematerialisation: trading time for memory on purpose.
//
//   Var h = x;
//   for (const Block& block : blocks) h = checkpoint(block, h);
//
// Differentiation needs the values that a function went through, so they are kept from the forward to the
// backward computation. Those inside of a checkpoint are not: the gradient computes them again, from what the
// function got, just before it needs them. Of n equal blocks in checkpoints of sqrt(n) each, about 2 sqrt(n)
// are in memory at a time, for one more forward computation (Chen et al., 2016).
#pragma once

#include <tapestry/core/tape.hpp>

#include <concepts>
#include <functional>
#include <utility>

namespace tapestry {

/// While it lives, what is recorded is computed again for gradients instead of kept.
class RematScope {
 public:
  explicit RematScope(Tape& tape) : tape_(tape), first_(ValueId(tape.graph().size())) {}
  ~RematScope() { tape_.recompute_for_gradients({first_, ValueId(tape_.graph().size())}); }
  RematScope(const RematScope&) = delete;
  RematScope& operator=(const RematScope&) = delete;

 private:
  Tape& tape_;
  ValueId first_;
};

/// fn(x...), of whatever type that is, with the same values and derivatives of any order. What fn uses
/// besides (State, other variables) is kept, as x is; what it returns is not kept for its own gradient.
/// Random numbers are the same again, and updates of State take place once. Checkpoints may be nested.
///
/// Sums within a fused loop may be cut elsewhere than without, where the loops come out otherwise; apart from
/// that the bits are the same.
template <class F, std::same_as<Var>... Vars>
requires std::invocable<F, const Var&, const Vars&...>
decltype(auto) checkpoint(F&& fn, const Var& x, const Vars&... more) {
  const RematScope scope(x.tape());
  return std::invoke(std::forward<F>(fn), x, more...);
}

}  // namespace tapestry
