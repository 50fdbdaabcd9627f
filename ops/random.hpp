// Random values. The key is State, i64 [2] = {seed, step}: each draw uses the key's current value and leaves
// it with the next step, so every draw of a step and every step gets numbers of its own, and a run resumed
// from a checkpoint goes on with those that it would have had. See core/random.hpp for the generator.
#pragma once

#include <tapestry/core/tape.hpp>

#include <string>

namespace tapestry {

class Registry;

/// A key at step 0, part of `state`.
State make_random_key(StateDict& state, std::uint64_t seed, std::string name = "random/key");

/// Uniform from lo to hi; f32 has 24 random bits, f64 has 53.
Var random_uniform(Tape& tape, const State& key, const Shape& shape, DType dtype = DType::f32, double lo = 0,
                   double hi = 1, Location at = Location::current());
/// Mean 0, variance 1; by Box and Muller's transform.
Var random_normal(Tape& tape, const State& key, const Shape& shape, DType dtype = DType::f32,
                  Location at = Location::current());
/// 1 with probability p in [0, 1], else 0; `dtype` is any.
Var random_bernoulli(Tape& tape, const State& key, const Shape& shape, double p, DType dtype = DType::f32,
                     Location at = Location::current());
/// 0 ... n-1 in random order, i64 [n].
Var random_permutation(Tape& tape, const State& key, std::int64_t n, Location at = Location::current());

/// Each element is kept with probability `keep` in (0, 1] and then divided by it, otherwise it is 0: the
/// expectation stays (inverted dropout). keep = 1 is x itself.
Var dropout(const Operand& x, double keep, const State& key);

void register_random(Registry& registry);

}  // namespace tapestry
