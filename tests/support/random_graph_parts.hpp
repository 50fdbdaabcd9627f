// The larger kinds of steps in random programs, one function each. See random_graph.hpp.
#pragma once

#include "random_graph.hpp"

#include <tapestry/ops/axes.hpp>

namespace tapestry::test::steps {

using M = Maker&;

inline Axes axes_of(M m) { return Axes(m.some_axes(m.x().rank())); }
inline DType other_of(M m) { return m.base() == DType::f64 ? DType::f32 : DType::f64; }

Var flattened_rows(M m);
Var normalised(M m);
Var statistics(M m);
Var cross_entropy(M m);
Var affine(M m);
Var gram(M m);
Var product(M m);
Var convolved(M m);
Var convolved_batch(M m);
Var pooled(M m);
Var pool_parts(M m);
Var normalised_images(M m);
Var resized(M m);
Var attended(M m);
Var merged_axes(M m);
Var split_axis(M m);
Var permuted(M m);
Var sliced(M m);
Var padded(M m);
Var joined(M m);
Var repeated(M m);
Var picked(M m);
Var picked_by_argmax(M m);
Var counted(M m);
Var dropped(M m);
Var noisy(M m);
Var remembered(M m);
Var folded(M m);
Var swapped(M m);
Var reshaped_state(M m);
Var scalar_loss(M m);
Var inferred(M m);
Var hits(M m);
Var mirrored(M m);
Var shuffled(M m);
Var compared(M m);
Var logical(M m);
Var any_or_all(M m);
Var of_integers(M m);

}  // namespace tapestry::test::steps
