// What is done within a checkpoint has the same values and derivatives, and isn't kept.
#include <tapestry/tapestry.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

using Block = std::function<Var(Var)>;

Var kept(const Block& f, const Var& x) { return f(x); }
Var again(const Block& f, const Var& x) { return checkpoint(f, x); }
using Call1 = Var (*)(const Block&, const Var&);

/// Weights of n square layers.
std::vector<State> layers(int n, std::int64_t width, DType dtype = DType::f32) {
  std::vector<State> weights;
  const Initializer init(7, dtype);
  for (int i = 0; i < n; ++i) {
    const std::string name = text('w', i);
    weights.emplace_back(name, init.normal(name, {width, width}, 1 / std::sqrt(double(width))));
  }
  return weights;
}

/// A chain of tanh(h w), every `stride` of them in one call.
Var chain(const Var& x, const std::vector<State>& weights, std::size_t stride, Call1 call) {
  Var h = x;
  for (std::size_t i = 0; i < weights.size(); i += stride) {
    const Block part = [&](Var v) {
      for (std::size_t k = i; k < std::min(i + stride, weights.size()); ++k) v = tanh(matmul(v, weights[k]));
      return v;
    };
    h = call(part, h);
  }
  return h;
}

struct Compiled {
  std::vector<Tensor> values;
  std::size_t arena_bytes;
  std::size_t tasks;
};

/// sum(f(x)^2) and its gradients by x and the states, compiled.
Compiled results(const std::function<Var(Var)>& f, const Tensor& x, const std::vector<State>& states,
                 const CompileOptions& options = {}) {
  Tape tape;
  const Var in = tape.input("x", x.type());
  const Var loss = sum(square(f(in)));
  std::vector<Var> wrt{in};
  for (const State& state : states) wrt.push_back(tape.read(state));
  std::vector<Var> outputs = gradients(loss, std::span<const Var>(wrt));
  outputs.push_back(loss);
  Program program = compile(tape, outputs, options);
  program.run(std::array{x});
  return {program.outputs(), program.summary().arena_bytes, program.summary().tasks};
}

void require_same(const Compiled& a, const Compiled& b) {
  BOOST_REQUIRE(a.values.size() == b.values.size());
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    BOOST_TEST(identical(a.values[i], b.values[i]), "value " << i << " differs");
  }
}

std::size_t count(const Graph& graph, std::string_view op) {
  std::size_t n = 0;
  for (ValueId id = 0; id < graph.size(); ++id) n += graph.is(id, op);
  return n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(remat)

BOOST_AUTO_TEST_CASE(a_deep_chain_has_the_same_bits_in_less_memory) {
  const Tensor x = Tensor::linspace(-1, 1, {64, 32}, DType::f32);
  const auto weights = layers(64, 32);
  const auto with = [&](std::size_t stride, Call1 call) {
    return results([&](Var v) { return chain(v, weights, stride, call); }, x, weights);
  };
  const Compiled plain = with(1, kept), roots = with(8, again);
  require_same(plain, roots);
  // 64 values of 8 KB are kept, or 8 at the ends of checkpoints and 8 within one.
  BOOST_TEST(plain.arena_bytes >= 64u * 8192);
  BOOST_TEST(roots.arena_bytes <= 20u * 8192);
  // Another forward computation, but for products whose results no gradient needs.
  BOOST_TEST(roots.tasks > plain.tasks);
  BOOST_TEST(roots.tasks <= plain.tasks + 2 * 64);
}

BOOST_AUTO_TEST_CASE(nested_checkpoints_keep_less) {
  const Tensor x = Tensor::linspace(-1, 1, {64, 32}, DType::f32);
  const auto weights = layers(64, 32);
  const auto nested = [&](const Var& in) {
    Var h = in;
    for (std::size_t i = 0; i < 64; i += 16) {
      const std::vector<State> part(weights.begin() + std::ptrdiff_t(i),
                                    weights.begin() + std::ptrdiff_t(i + 16));
      h = checkpoint([&](Var v) { return chain(v, part, 4, again); }, h);
    }
    return h;
  };
  const auto flat = [&](const Var& in) { return chain(in, weights, 16, again); };
  const Compiled plain = results([&](Var v) { return chain(v, weights, 1, kept); }, x, weights);
  const Compiled once = results(flat, x, weights), twice = results(nested, x, weights);
  require_same(plain, once);
  require_same(plain, twice);
  BOOST_TEST(twice.arena_bytes < once.arena_bytes);
}

BOOST_AUTO_TEST_CASE(every_pass_may_be_off) {
  const Tensor x = Tensor::linspace(-1, 1, {8, 4}, DType::f32);
  const auto weights = layers(6, 4);
  const auto f = [&](Call1 call) { return [&, call](Var v) { return chain(v, weights, 2, call); }; };
  for (const char* pass : {"fold_constants", "cse", "simplify", "fuse", "recompute", "in_place", "views"}) {
    CompileOptions options;
    options.without = {pass};
    require_same(results(f(kept), x, weights, options), results(f(again), x, weights, options));
  }
}

BOOST_AUTO_TEST_CASE(gradients_of_any_order_are_right) {
  const Tensor w = Tensor::linspace(-0.7, 0.9, {3, 3});
  const auto f = [&](std::span<const Var> x) {
    const Var inner = checkpoint(
        [&](Var h) { return checkpoint([&](Var k) { return sin(matmul(k, x[1])); }, tanh(h)) * h; }, x[0]);
    return inner * exp(x[0] * 0.5);
  };
  for (const int order : {1, 2}) {
    const GradientCheck check = check_gradients(f, {Tensor::linspace(-1, 1.2, {2, 3}), w}, {.order = order});
    BOOST_TEST(check.passes(1e-6), check.describe());
  }
}

BOOST_AUTO_TEST_CASE(third_derivatives) {
  Tape tape;
  const Var x = tape.constant(Tensor::scalar(0.5));
  Var y = checkpoint([](Var v) { return exp(v * v); }, x);
  const double e = std::exp(0.25);
  for (const double factor : {1.0, 3.0, 7.0}) {
    y = gradient(y, x);
    BOOST_TEST(evaluate(y).item() == factor * e, boost::test_tools::tolerance(1e-14));
  }
}

/// A step of training with batch norm and dropout inside; what State is afterwards, and the loss of each
/// step.
std::vector<Tensor> trained(Call1 call, std::size_t* updates = nullptr) {
  StateDict state;
  const Initializer init(3);
  const Linear fc1(state, "fc1", 6, 16, init), fc2(state, "fc2", 16, 1, init);
  const BatchNorm norm(state, "norm", 16, init);
  const Dropout drop{0.5, make_random_key(state, 11)};
  const Optimizer optimizer(state, Adam{});
  Function step = [&](Var x) {
    const Block block = [&](Var v) {
      // Two draws: the second follows from the first.
      return drop(relu(norm(drop(fc1(v), Mode::train), Mode::train)), Mode::train);
    };
    const Var loss = mean(square(fc2(call(block, x)) - sum(x, 1, kKeepDims)));
    optimizer.minimize(loss, state.parameters(), 0.01);
    return loss;
  };
  const Tensor x = Tensor::linspace(-1, 1, {32, 6}, DType::f32);
  std::vector<Tensor> all;
  for (int i = 0; i < 5; ++i) all.push_back(step(x));
  for (const State& s : state) all.push_back(s.value());
  if (updates) *updates = step.record(std::array{x.type()}).updates.size();
  return all;
}

BOOST_AUTO_TEST_CASE(draws_are_the_same_and_state_is_updated_once) {
  std::size_t updates_plain = 0, updates_again = 0;
  const auto plain = trained(kept, &updates_plain), remat = trained(again, &updates_again);
  BOOST_TEST(updates_plain == updates_again);
  BOOST_REQUIRE(plain.size() == remat.size());
  for (std::size_t i = 0; i < plain.size(); ++i) BOOST_TEST(identical(plain[i], remat[i]), i);
}

BOOST_AUTO_TEST_CASE(a_mask_drawn_inside_is_drawn_again_not_kept) {
  StateDict state;
  const State key = make_random_key(state, 5);
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {8, 8}});
  const Var y = checkpoint([&](Var v) { return dropout(v, 0.5, key); }, x);
  const Program program = compile(gradient(sum(square(y * tape.input("s", x.type()))), x));
  BOOST_TEST(count(program.graph(), "random_uniform") == 2u);
}

BOOST_AUTO_TEST_CASE(an_input_that_is_ignored_has_gradient_zero) {
  Tape tape;
  const Var x = tape.constant(Tensor::scalar(2.0)), other = tape.constant(Tensor::scalar(3.0));
  const Var y = checkpoint([&](Var) { return square(other); }, x);
  BOOST_TEST(evaluate(gradient(y, x)).item() == 0);
  BOOST_TEST(evaluate(gradient(y, other)).item() == 6);
  const Var same_x = checkpoint([](Var v) { return v; }, x);
  BOOST_TEST(same(same_x, x));
  BOOST_TEST(evaluate(gradient(same_x, x)).item() == 1);
}

BOOST_AUTO_TEST_CASE(several_inputs_and_results) {
  const auto f = [](auto&& call, const Var& a, const Var& b) {
    const auto [p, q, r] = call(
        [](Var u, Var v) {
          const Var e = exp(u * v);
          return std::tuple(e, sin(e) + u, u);
        },
        a, b);
    return p * q + r;
  };
  const auto plain = [](auto g, const Var& u, const Var& v) { return g(u, v); };
  const auto remat = [](auto g, const Var& u, const Var& v) { return checkpoint(g, u, v); };
  Tape tape;
  const Var a = tape.constant(Tensor::linspace(0.1, 1, {4})), b = tape.constant(Tensor::linspace(-1, 1, {4}));
  const std::array wrt{a, b};
  const auto expected = evaluate(gradients(sum(f(plain, a, b)), wrt));
  const auto got = evaluate(gradients(sum(f(remat, a, b)), wrt));
  for (int i = 0; i < 2; ++i) BOOST_TEST(identical(expected[std::size_t(i)], got[std::size_t(i)]));
}

BOOST_AUTO_TEST_CASE(derivatives_by_a_value_within) {
  // A hidden value that the function hands out: paths to it and through it count.
  Tape tape;
  const Var x = tape.constant(Tensor::scalar(0.5));
  std::vector<Var> hidden;
  const Var y = checkpoint(
      [&](Var v) {
        hidden.push_back(square(v));
        return hidden[0] * hidden[0] * v;
      },
      x);
  const std::array wrt{x, hidden[0]};
  const auto g = evaluate(gradients(y + hidden[0], wrt));  // x^5 + x^2 = h h x + h
  BOOST_TEST(g[0].item() == 5 * 0.0625 + 1, boost::test_tools::tolerance(1e-14));
  BOOST_TEST(g[1].item() == 2 * 0.25 * 0.5 + 1, boost::test_tools::tolerance(1e-14));
}

BOOST_AUTO_TEST_CASE(a_gradient_alone_computes_nothing_twice) {
  // The forward values are nobody's then, so there is nothing to wait for.
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {8, 8}});
  const Var y = checkpoint([](Var v) { return tanh(matmul(v, v)); }, x);
  const Program program = compile(gradient(sum(y), x));
  BOOST_TEST(count(program.graph(), "after") == 0u);
  BOOST_TEST(count(program.graph(), "tanh") == 1u);
}

BOOST_AUTO_TEST_CASE(lookups_within_are_differentiated) {
  Tape tape;
  const Var table = tape.constant(Tensor::from({1.0, 2.0, 3.0}, {3}));
  const Var rows = tape.constant(Tensor::from({std::int64_t{2}, std::int64_t{0}, std::int64_t{2}}, {3}));
  const Var y = checkpoint([&](Var t) { return square(take(square(t), rows, 0)); }, table);
  const Tensor g = evaluate(gradient(sum(y), table));  // n 4 t^3
  BOOST_TEST(g.at(0) == 4);
  BOOST_TEST(g.at(1) == 0);
  BOOST_TEST(g.at(2) == 2 * 4 * 27);
}

BOOST_AUTO_TEST_SUITE_END()
