// The ops with kernels of their own, in compiled programs: the interpreter's values, and no memory but what
// was planned.
#include "../support/allocations.hpp"
#include "../support/random_tensor.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

BOOST_AUTO_TEST_SUITE(kernel_ops)

BOOST_AUTO_TEST_CASE(compiled_they_give_the_same_and_allocate_nothing) {
  Tape tape;
  const Var x = tape.input("x", {DType::f64, {40, 30}});
  const Var w = tape.input("w", {DType::f64, {30, 20}});
  const Var i = tape.input("i", {DType::i64, {7}});
  const Var y = matmul(x, w);
  const Var moved =
      concat({transpose(y), flip(slice(pad(transpose(y), {1, 2}, {0, 1}), {{1}, {2, -1}}), 1)}, 0);
  const Var picked = slice(transpose(take(pad_reflect(moved, {0, 3}, {2, 0}), i, 1)), 1, 0, 30);
  const Var back = scatter_add(stack({x, x}, 0), i, stack({picked, picked}, 0) * 2, 1);
  const Var batch = matmul(back, expand_dims(w, {0}));
  std::vector<Var> outputs = {moved, picked, back, batch};
  const std::vector<Var> wrt = {x, w};
  for (const Var& g : gradients(sum(batch * batch), wrt)) outputs.push_back(g);
  Graph graph = tape.graph();
  for (const Var& output : outputs) graph.outputs.push_back(output.id());

  std::vector<std::int64_t> indices = {0, 6, 6, 29, 1, 12, 13};
  const std::vector<Tensor> arguments = {random_tensor({40, 30}), random_tensor({30, 20}, 2),
                                         Tensor::from(indices, {7})};
  Program program = compile(tape, outputs);
  program.run(arguments);
  const auto expected = interpret(graph, arguments);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const Tensor& got = program.output(o);
    BOOST_REQUIRE(got.type() == expected[o].type());
    double worst = 0;
    for (std::int64_t e = 0; e < got.elements(); ++e) {
      worst = std::max(worst, std::abs(got.at(e) - expected[o].at(e)) / std::max(1.0, std::abs(got.at(e))));
    }
    BOOST_TEST(worst < 1e-13);
  }
  program.run(arguments);
  const std::size_t before = allocations();
  for (int step = 0; step < 10; ++step) program.run(arguments);
  BOOST_TEST(allocations() == before);
}

BOOST_AUTO_TEST_CASE(so_do_random_numbers) {
  StateDict state;
  const State key = make_random_key(state, 1);
  Tape tape;
  const Var u = random_uniform(tape, key, {1000});
  const Var outputs[] = {u, dropout(u, 0.5, key), random_normal(tape, key, {1000}, DType::f64),
                         random_permutation(tape, key, 1000)};
  Program program = compile(tape, outputs);
  program.run();
  program.run();
  const std::size_t before = allocations();
  for (int step = 0; step < 10; ++step) program.run();
  BOOST_TEST(allocations() == before);
}

BOOST_AUTO_TEST_CASE(an_index_outside_stops_the_step) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {3}});
  const Var i = tape.input("i", {DType::i32, {2}});
  const int line = __LINE__ + 1;
  Program program = compile(take(x, i, 0));
  const auto run = [&](std::int32_t index) {
    const Tensor arguments[] = {Tensor::from({1.f, 2.f, 3.f}, {3}), Tensor::from({0, index}, {2})};
    program.run(arguments);
  };
  BOOST_TEST(thrown([&] { run(3); }) ==
             text("kernel_ops.cpp:", line, ": take: index 3 at position 1 is outside [0, 3)"));
  run(2);
  BOOST_TEST(program.output().at(1) == 3);
}

BOOST_AUTO_TEST_SUITE_END()
