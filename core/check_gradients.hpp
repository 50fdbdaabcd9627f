// Compares derived gradients with central differences: for your own ops and models as for Tapestry's.
//
//   const GradientCheck check = check_gradients([](std::span<const Var> x) { return my_loss(x[0], x[1]); },
//   {a, b}); if (!check.passes(1e-7)) std::cerr << check.describe();
#pragma once

#include <tapestry/core/state.hpp>
#include <tapestry/core/tape.hpp>

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tapestry {

struct GradientCheckOptions {
  /// 1 checks gradients; 2 also the gradients of gradients.
  int order = 1;
  /// Of the random signed cotangents and directions.
  std::uint64_t seed = 1;
  /// Steps are this times max(1, |x|); a Richardson pair of steps h and h/2 leaves an error of order h^4.
  double step = 1e-3;
  /// Up to this many input elements each is moved alone; above, all are moved along random directions.
  std::int64_t elementwise_limit = 512;
  /// Up to this many output elements each row of the Jacobian is derived; random cotangents always.
  std::int64_t rows_limit = 64;
  /// Random cotangents, and directions where there are too many elements.
  int projections = 3;
};

/// The worst of all comparisons.
struct GradientCheck {
  /// |derived - numeric| / max(|derived| + |numeric|, 1e-8, 1e-4 of the largest derivative there is): the
  /// notebook's relative error, except that values far below the largest aren't held to more digits than
  /// differences have. Infinite if either is NaN.
  double error = 0;
  double derived = 0, numeric = 0;  // there
  std::string where;                // "input 1, element 7, order 1"
  std::int64_t comparisons = 0;

  /// A check that compared nothing passes only if `comparisons` was expected to be 0: empty inputs.
  bool passes(double tolerance) const { return error <= tolerance; }
  std::string describe() const;
};

using CheckedFunction = std::function<Var(std::span<const Var>)>;

/// Inputs are f64, at a distance from kinks of more than a step, or integer and bool, which stay as they are.
/// The function has to be a function: no random draws, no updates of State.
GradientCheck check_gradients(const CheckedFunction& function, std::span<const Tensor> inputs,
                              const GradientCheckOptions& options = {});
inline GradientCheck check_gradients(const CheckedFunction& function, std::initializer_list<Tensor> inputs,
                                     const GradientCheckOptions& options = {}) {
  return check_gradients(function, std::span(inputs.begin(), inputs.size()), options);
}

/// With respect to f64 parameters: moves their values and puts them back. One result a parameter.
std::vector<GradientCheck> check_gradients(const std::function<Var(Tape&)>& loss,
                                           std::span<const State> parameters,
                                           const GradientCheckOptions& options = {});

}  // namespace tapestry
