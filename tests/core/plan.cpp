#include "../support/check_plan.hpp"

#include <tapestry/core/compile/arena.hpp>
#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>
#include <tapestry/optim/adaptive.hpp>
#include <tapestry/optim/clip.hpp>
#include <tapestry/optim/optimizer.hpp>

#include <algorithm>
#include <array>
#include <functional>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

Graph ready(Tape& tape, const std::vector<Var>& outputs) {
  return eliminate_common_subexpressions(simplify(expand(tape.take(outputs))));
}

std::size_t loops_in(const std::vector<Task>& tasks) {
  std::size_t loops = 0;
  for (const Task& task : tasks) loops += task.loop.has_value();
  return loops;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plan)

BOOST_AUTO_TEST_CASE(a_chain_is_one_loop_that_stores_its_end) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {100, 50}});
  const Graph g = ready(tape, {exp(x * 2 + 1) * x});
  const std::vector<Task> tasks = schedule(g, true);
  BOOST_REQUIRE(tasks.size() == 1u);
  BOOST_TEST(tasks[0].writes.size() == 1u);
  BOOST_TEST(tasks[0].reads.size() == 1u);
  BOOST_TEST(schedule(g, false).size() == 4u);
}

BOOST_AUTO_TEST_CASE(equal_loops_are_compiled_once) {
  Tape tape;
  const Var w = tape.input("w", {DType::f32, {8, 8}});
  Var h = tape.input("x", {DType::f32, {8, 8}});
  for (int i = 0; i < 3; ++i) h = tanh(matmul(h, w));
  const Plan planned = tapestry::plan(ready(tape, {matmul(exp(h), w)}));
  BOOST_REQUIRE(planned.loops.size() == 3u);
  // Copies share what the loop was made into; the third is tanh and exp.
  BOOST_TEST(&planned.loops[0].loop() == &planned.loops[1].loop());
  BOOST_TEST(&planned.loops[0].loop() != &planned.loops[2].loop());
}

/// Loops of y / sum(y), y = exp(x).
std::size_t loops_of_normalizing(const Shape& shape, int axis, bool keep_dims) {
  Tape tape;
  const Var y = exp(tape.input("x", {DType::f32, shape}));
  Var total = sum(y, axis, keep_dims);
  if (!keep_dims) total = reshape(total, {shape[0], 1});
  return schedule(ready(tape, {y / total, log(total)}), true).size();
}

BOOST_AUTO_TEST_CASE(a_sum_joins_the_loop_but_what_needs_it_does_only_row_by_row) {
  BOOST_TEST(loops_of_normalizing({100, 50}, 1, kKeepDims) == 1u);
  BOOST_TEST(loops_of_normalizing({100, 50}, 1, false) == 1u);  // through a view
  BOOST_TEST(loops_of_normalizing({100, 50}, 0, kKeepDims) > 1u);
  BOOST_TEST(loops_of_normalizing({4, 50000}, 1, kKeepDims) > 1u);  // rows too long to hold
}

/// Loops that go over all of `extents` in the compiled program.
std::size_t passes_over(const Shape& extents, const Tape& tape, const std::vector<Var>& outputs) {
  const Program program = compile(tape, outputs, {});
  std::size_t passes = 0;
  for (const Task& task : schedule(program.graph(), true)) {
    passes += task.loop && task.loop->extents == extents;
  }
  return passes;
}

BOOST_AUTO_TEST_CASE(readers_of_one_value_that_were_recorded_apart_are_one_pass) {
  const Shape shape{100, 50};
  Tape tape;
  const Var a = tape.input("a", {DType::f32, shape}), b = tape.input("b", {DType::f32, shape});
  const Var m = tape.input("m", {DType::f32, {50}}), s = sum(b, 0);
  BOOST_TEST(passes_over(shape, tape, {s, sum(b * (a - m), 0)}) == 1U);
  // What is used in between isn't held up, and what reads less than a pass isn't worth it.
  BOOST_TEST(passes_over(shape, tape, {s, sum(b * (a - s), 0)}) == 2U);
  BOOST_TEST(passes_over(shape, tape, {exp(a) + m, sin(b) + m}) == 2U);
}

// Each holds eight values of a row; both together couldn't be a loop, and all that is in them would be one of
// its own.
BOOST_AUTO_TEST_CASE(readers_of_one_value_that_hold_long_rows_stay_apart) {
  const Shape shape{64, 8000};
  Tape tape;
  const Var a = tape.input("a", {DType::f32, shape}), b = tape.input("b", {DType::f32, shape});
  const auto hold = [](const Var& x) {
    std::vector<Var> waves{sin(x)};
    Var product = waves.front();
    for (int i = 1; i < 8; ++i) {
      waves.push_back(sin(x * (i + 0.5)));
      product = product * waves.back();
    }
    const Var all = sum(product, 1, true);
    Var result = waves.front() / all;
    for (int i = 1; i < 8; ++i) result = result + exp(waves[std::size_t(i)] / all);
    return result;
  };
  const Var first = hold(b), second = hold(a) * b;
  BOOST_TEST(passes_over(shape, tape, {first, second}) == 2U);
}

BOOST_AUTO_TEST_CASE(softmax_cross_entropy_and_its_gradient_are_one_pass) {
  Tape tape;
  const Var logits = tape.input("logits", {DType::f32, {1000, 10}});
  const Var labels = tape.input("labels", {DType::u8, {1000}});
  const Var loss = softmax_cross_entropy(logits, labels);
  const std::vector<Var> results{loss, gradients(loss, std::array{logits})[0]};
  BOOST_TEST(passes_over({1000, 10}, tape, results) == 1u);
  // check_labels, the loop, and the division of the sum.
  BOOST_TEST(compile(tape, results, {}).summary().tasks == 3u);
}

BOOST_AUTO_TEST_CASE(layernorm_and_its_gradient_are_one_pass_each) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {640, 768}}), g = tape.input("g", x.type());
  const Var gamma = tape.input("gamma", {DType::f32, {768}}), beta = tape.input("beta", gamma.type());
  const Var y = layernorm(x, gamma, beta, 1e-5);
  BOOST_TEST(compile(y).summary().tasks == 1u);
  const std::vector<Var> backward = gradients(y, std::array{x, gamma, beta}, g);
  BOOST_TEST(compile(tape, backward, {}).summary().tasks == 1u);
}

// Mean and variance; the result. With the gradient: mean and variance; its sums; the results. x - mean is
// computed again and again.
BOOST_AUTO_TEST_CASE(batchnorm_is_two_passes_and_with_its_gradient_three) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {640, 96}}), g = tape.input("g", x.type());
  const Var gamma = tape.input("gamma", {DType::f32, {96}}), beta = tape.input("beta", gamma.type());
  const Var y = batchnorm(x, gamma, beta, 1e-5);
  BOOST_TEST(passes_over({640, 96}, tape, {y}) == 2u);
  // Its statistics are what a product's bias is added for.
  const Var h = tape.input("h", {DType::f32, {640, 32}}), w = tape.input("w", {DType::f32, {32, 96}});
  BOOST_TEST(passes_over({640, 96}, tape, {batchnorm(matmul(h, w) + beta, gamma, beta)}) == 2u);
  BOOST_TEST(passes_over({640, 96}, tape, {var(x * 2, 0)}) == 1u);
  std::vector<Var> all = gradients(y, std::array{x, gamma, beta}, g);
  all.push_back(y);
  BOOST_TEST(passes_over({640, 96}, tape, all) == 3u);
  // Nothing of the size of x is kept from pass to pass.
  BOOST_TEST(tapestry::plan(Graph(compile(tape, all, {}).graph())).arena_bytes < x.type().bytes());
}

/// How often the code of y = make(x) is run, y being read by two loops with a matrix product between them.
std::size_t times_computed(const std::function<Var(const Var&)>& make, kernels::Code code,
                           std::int64_t size = 64) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {size, size}}), y = make(x);
  const Program program = compile(tape, std::vector<Var>{matmul(x * sum(y * 3), x) * y}, {});
  std::size_t times = 0;
  for (const Task& task : schedule(program.graph(), true)) {
    if (task.loop)
      times += std::size_t(std::ranges::count(task.loop->code, code, &kernels::Instruction::code));
  }
  return times;
}

BOOST_AUTO_TEST_CASE(what_is_cheap_is_computed_twice_and_what_is_dear_once) {
  const auto larger = [](const Var& x) { return maximum(x, 0.5); };
  BOOST_TEST(times_computed(larger, kernels::Code::max) == 2u);
  BOOST_TEST(times_computed([](const Var& x) { return exp(x); }, kernels::Code::exp) == 1u);
}

// GELU keeps its function for nobody, and its derivative is a function of its own.
BOOST_AUTO_TEST_CASE(functions_of_what_no_cache_keeps_are_computed_twice) {
  // Here x would have to be read in its place.
  BOOST_TEST(times_computed([](const Var& x) { return exp(x); }, kernels::Code::exp, 2048) == 1u);

  Tape tape;
  const Type type{DType::f32, {2048, 2048}};
  const Var x = tape.input("x", type), w = tape.input("w", type), h = gelu(x), y = matmul(h, w);
  const Program program = compile(tape, gradients(sum(y * y), std::array{x, w}), {});
  std::vector<std::size_t> functions;
  for (const Task& task : schedule(program.graph(), true)) {
    if (!task.loop) continue;
    const auto count = [&](kernels::Code code) {
      return std::size_t(std::ranges::count(task.loop->code, code, &kernels::Instruction::code));
    };
    if (count(kernels::Code::erf) + count(kernels::Code::gelu_slope) == 0) continue;
    functions.push_back(count(kernels::Code::erf));
    functions.push_back(count(kernels::Code::gelu_slope));
    BOOST_TEST(task.writes.size() == 1u);
  }
  BOOST_TEST((functions == std::vector<std::size_t>{1, 0, 0, 1}));
}

BOOST_AUTO_TEST_CASE(an_adam_step_is_one_pass_a_parameter) {
  for (const Shape& shape : {Shape{300, 200}, Shape{5000, 1}, Shape{1, 5000}}) {
    StateDict state;
    const State w = state.create("w", Tensor(DType::f32, shape));
    Tape tape;
    const Var g = tape.input("g", w.type());
    const ParameterGradient pair{w, g};
    Optimizer(state, Adam{}).step({&pair, 1}, tape.input("lr", {DType::f32, {}}));
    Graph graph = ready(tape, {});
    std::size_t large = 0;
    for (const Task& task : schedule(graph, true)) large += task.loop->extents.elements() > 1;
    BOOST_TEST_CONTEXT(shape) {
      BOOST_TEST(large == 1u);
      // All three are written where they are: nothing is left to hold or to copy.
      const Plan p = tapestry::plan(graph);
      BOOST_TEST(p.arena_bytes < 1024u);
      for (const Plan::Copy& copy : p.copies) BOOST_TEST(copy.bytes < 1024u);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_view_is_read_from_memory) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {6, 4}});
  const Var y = exp(x);
  const Graph g = ready(tape, {reshape(y, {4, 6}) * 2, y});
  const std::vector<Task> tasks = schedule(g, true);
  BOOST_TEST(loops_in(tasks) == 2u);
  BOOST_TEST((tasks[0].writes == std::vector<ValueId>{storage_of(g, g.outputs[1])}));
}

BOOST_AUTO_TEST_CASE(dead_values_give_their_memory_back) {
  Tape tape;
  const std::size_t bytes = 64 * 64 * 4;
  Var x = tape.input("x", {DType::f32, {64, 64}});
  for (int i = 0; i < 10; ++i) x = matmul(x, x);
  const Plan p = tapestry::plan(ready(tape, {x}));
  BOOST_TEST(p.arena_bytes <= 2 * bytes);
}

/// The arena of a step that trains four layers of 64 units, in gradients of a layer.
double gradients_in_memory(bool clip) {
  StateDict state;
  Tape tape;
  Var h = tape.input("x", {DType::f32, {2, 64}});
  for (int i = 0; i < 4; ++i) {
    h = tanh(matmul(h, state.create(text("w", i), Tensor::full<float>({64, 64}, 0.1f))));
  }
  const Var loss = sum(h);
  const auto parameters = state.parameters();
  std::vector<Var> grads = gradients(loss, parameters);
  if (clip) grads = clip_by_global_norm(grads, 1.0);
  std::vector<ParameterGradient> pairs;
  for (std::size_t i = 0; i < grads.size(); ++i) pairs.push_back({parameters[i], grads[i]});
  const Optimizer optimizer(state, Adam{});
  optimizer.step(pairs, 0.01);
  const Program program = compile(tape, std::array{loss}, {});
  test::check_plan(program.graph(), program.plan(), {});
  BOOST_TEST(program.plan().copies.empty());  // new values are written over the old ones
  return double(program.summary().arena_bytes) / (64 * 64 * 4);
}

BOOST_AUTO_TEST_CASE(updates_run_as_soon_as_their_gradients_are_there) {
  BOOST_TEST(gradients_in_memory(false) < 2);
  BOOST_TEST(gradients_in_memory(true) > 4);  // each waits for all
}

BOOST_AUTO_TEST_CASE(branches_recorded_side_by_side_run_one_after_the_other) {
  Tape tape;
  const Type type{DType::f32, {64, 64}};
  const Var x = tape.input("x", type), column = tape.input("column", {DType::f32, {64, 1}});
  std::vector<Var> wide, narrow;
  for (int i = 0; i < 20; ++i) wide.push_back(matmul(x, tape.input(text("w", i), type)));
  for (const Var& w : wide) narrow.push_back(matmul(w, column));
  Graph g = ready(tape, {concat(std::span<const Var>(narrow), 0)});
  const Plan p = tapestry::plan(g);
  test::check_plan(g, p, {});
  const std::size_t thin = 64 * 4;
  BOOST_TEST(p.arena_bytes <= 2 * type.bytes() + 20 * thin);
}

BOOST_AUTO_TEST_CASE(freeing_early_overwrites_no_state_that_is_still_read_and_none_before_the_checks) {
  StateDict state;
  const Type type{DType::f32, {64, 64}};
  const State w = state.create("w", Tensor(type.dtype, type.shape));
  Tape tape;
  const Var x = tape.input("x", type), column = tape.input("column", {DType::f32, {64, 1}});
  std::vector<Var> wide, narrow;
  for (int i = 0; i < 8; ++i) wide.push_back(matmul(x, tape.input(text("w", i), type)));
  const Var old = matmul(x, w);
  for (std::size_t k = 2; k < wide.size(); ++k) narrow.push_back(matmul(wide[k], column));
  const std::vector<Var> outputs = {concat(std::span<const Var>(narrow), 0), matmul(old, column)};
  // It frees two wide values, and could come long before the old value of w is read for the last time.
  tape.write(w, exp(wide[0] + wide[1]));
  Graph g = ready(tape, outputs);
  for (const bool guard : {true, false}) {  // without checks only the reader of w holds it back
    const PlanOptions options{.guard_outputs = guard};
    const Plan p = tapestry::plan(g, options);
    test::check_plan(g, p, options);
    BOOST_TEST(p.copies.empty());
    BOOST_TEST(p.arena_bytes < 6 * type.bytes());
  }
}

BOOST_AUTO_TEST_CASE(an_update_comes_after_those_that_read_the_old_value) {
  StateDict state;
  const State w = state.create("w", Tensor(DType::f32, {64, 64}));
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {64, 64}});
  const Var y = matmul(matmul(x, x), w);
  tape.write(w, exp(x));  // could be first, but would need memory of its own then
  const Plan p = tapestry::plan(ready(tape, {y}));
  BOOST_TEST(p.copies.empty());
  BOOST_TEST(p.tasks.back().loop.has_value());
}

BOOST_AUTO_TEST_CASE(nothing_is_committed_before_checks_have_passed) {
  StateDict state;
  const State w = state.create("w", Tensor(DType::f32, {8}));
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {8}});
  tape.write(w, exp(x));
  const Var loss = sum(matmul(reshape(x, {1, 8}), reshape(x, {8, 1})));
  Graph g = ready(tape, {loss});
  const Plan p = tapestry::plan(g, {.guard_outputs = true});
  for (std::size_t t = 0; t < p.first_commit; ++t) {
    for (const ValueId id : p.tasks[t].writes) BOOST_TEST((p.places[id].kind != Place::Kind::state));
  }
  BOOST_TEST(p.first_commit > 0u);
}

BOOST_AUTO_TEST_CASE(arena_merges_what_is_freed) {
  ArenaPlanner arena;
  const std::size_t a = arena.allocate(100), b = arena.allocate(200), c = arena.allocate(50);
  BOOST_TEST(a % 64 == 0u);
  BOOST_TEST(b % 64 == 0u);
  arena.release(a);
  arena.release(b);
  BOOST_TEST(arena.allocate(300) == a);  // both together
  arena.release(c);
  const std::size_t size = arena.size();
  arena.allocate(64);
  BOOST_TEST(arena.size() == size);
  BOOST_CHECK_THROW(arena.release(12345), Error);
}

BOOST_AUTO_TEST_SUITE_END()
