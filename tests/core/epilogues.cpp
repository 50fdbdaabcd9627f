// Loops that take the results of kernels in parts.
#include "../support/allocations.hpp"
#include "../support/check_plan.hpp"
#include "../support/random_tensor.hpp"
#include "../support/restore_threads.hpp"

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/compile/task_info.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/kernels/gemm_tile.hpp>
#include <tapestry/ops/kernels/scratch.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>
#include <tapestry/ops/softmax.hpp>
#include <tapestry/optim/adaptive.hpp>

#include <algorithm>
#include <functional>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::random_tensor;

namespace {

const Type kX{DType::f32, {9, 12}};  // with its transpose as the left operand, a product is [12, n]

/// Of all that is recorded: how many tasks there are, and how many of these are made in parts.
struct Count {
  std::size_t tasks = 0, in_parts = 0;
  friend bool operator==(const Count&, const Count&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Count& c) {
    return out << c.in_parts << " of " << c.tasks;
  }
};

using Record = std::function<std::vector<Var>(Var x, Var g)>;

Count count(const Record& record, const PlanOptions& options = {.epilogue_bytes = 0}) {
  Tape tape;
  const Var x = tape.input("x", kX), g = tape.input("g", {DType::f32, {9, 6}});
  Graph graph = expand(tape.take(record(x, g)));
  for (const Pass& pass : passes()) graph = pass.run(graph);
  const Plan p = plan(graph, options);
  test::check_plan(graph, p, options);
  const auto parts = std::ranges::count_if(p.tasks, [](const Task& t) { return t.in_parts.has_value(); });
  return {p.tasks.size(), std::size_t(parts)};
}

boost::test_tools::assertion_result has_own_kernels(boost::unit_test::test_unit_id) {
  return kernels::has_kernels();
}

/// x^T g, [12, 6].
Var product(const Var& x, const Var& g) { return matmul(x, g, {.transpose_a = true}); }

}  // namespace

BOOST_AUTO_TEST_SUITE(epilogues, *boost::unit_test::precondition(has_own_kernels))

BOOST_AUTO_TEST_CASE(which_loops_take_parts) {
  const State w("w", Tensor(DType::f32, {12, 6})), v("v", Tensor(DType::f32, {9, 6}));
  struct Case {
    const char* name;
    Count expected;
    Record record;
  };
  const Case cases[] = {
      {"pointwise", {1, 1}, [](Var x, Var g) { return std::vector{exp(product(x, g))}; }},
      {"an update",
       {1, 1},
       [&](Var x, Var g) {
         x.tape().write(w, x.tape().read(w) - 0.1 * product(x, g));
         return std::vector<Var>();
       }},
      {"a row repeated", {1, 1}, [](Var x, Var g) { return std::vector{product(x, g) + slice(g, 0, 0, 1)}; }},
      {"of two products",
       {3, 1},
       [](Var x, Var) {
         const Var y = x + 1;
         return std::vector{product(x, x) * product(y, y)};
       }},
      {"the result is an output",
       {2, 0},
       [](Var x, Var g) {
         const Var y = product(x, g);
         return std::vector{exp(y), y};
       }},
      {"two loops read it",
       {4, 0},
       [](Var x, Var g) {
         const Var y = product(x, g);
         return std::vector{exp(y), matmul(exp(y), g, {.transpose_b = true}), sum(y)};
       }},
      {"summed", {2, 0}, [](Var x, Var g) { return std::vector{sum(product(x, g), 0)}; }},
      {"rows as a whole", {2, 0}, [](Var x, Var g) { return std::vector{softmax(product(x, g))}; }},
      {"through a view", {2, 0}, [](Var x, Var g) { return std::vector{exp(reshape(product(x, g), {72}))}; }},
      {"in another order",
       {2, 0},
       [](Var x, Var g) {
         return std::vector{exp(transpose(product(x, g))) +
                            x.tape().read(State("t", Tensor(DType::f32, {6, 12})))};
       }},
      {"of a State", {2, 0}, [&](Var x, Var) { return std::vector{exp(product(x, x.tape().read(v)))}; }},
      {"of a batch",
       {2, 0},
       [](Var x, Var g) {
         return std::vector{
             exp(matmul(reshape(x, {3, 3, 12}), reshape(g, {3, 3, 6}), {.transpose_a = true}))};
       }},
      {"of bf16",
       {4, 0},
       [](Var x, Var g) { return std::vector{exp(product(cast(x, DType::bf16), cast(g, DType::bf16)))}; }},
      {"a kernel that makes no parts",
       {2, 0},
       [](Var x, Var g) {
         return std::vector{exp(cast(argmax(matmul(x, product(x, g)), 1, true), DType::f32))};
       }},
  };
  for (const Case& c : cases) {
    BOOST_TEST_CONTEXT(c.name) {
      const Count found = count(c.record);
      BOOST_TEST(found.in_parts == c.expected.in_parts);
      if (c.expected.in_parts > 0) BOOST_TEST(found.tasks == c.expected.tasks);
      BOOST_TEST(count(c.record, {.epilogues = false, .epilogue_bytes = 0}).in_parts == 0U);
      BOOST_TEST(count(c.record, {}).in_parts == 0U, "too small");
    }
  }
}

namespace {

/// Outputs and State after two steps of a layer's training, large enough for several parts on each thread.
struct Trained {
  std::vector<Tensor> values;
  ProgramSummary summary;
  std::vector<TaskInfo> tasks;
};
Trained train(DType dtype, std::int64_t rows, std::int64_t columns, const std::vector<std::string>& without,
              std::optional<std::size_t> bytes = 2000) {
  StateDict state;
  const State key = make_random_key(state, 5);
  const State w = state.create("w", random_tensor({rows, columns}, 3).to(dtype));
  Tape tape;
  const Tensor x = random_tensor({20, rows}, 1).to(dtype), g = random_tensor({20, columns}, 2).to(dtype);
  const Var left = tape.input("x", x.type()), right = tape.input("g", g.type());
  const ParameterGradient pair{w, dropout(product(left, right), 0.9, key)};
  Optimizer(state, Adam{}).step(std::span(&pair, 1), tape.constant(0.01, dtype));
  Program program = compile(tape, {}, {.without = without, .epilogue_bytes = bytes, .verify = true});
  Trained trained{{}, program.summary(), task_infos(program.graph(), program.plan())};
  for (int step = 0; step < 2; ++step) {
    program.run(std::array{x, g});
    for (const State& s : state.all()) trained.values.push_back(s.value());
  }
  return trained;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_bits_are_those_of_the_whole_for_any_number_of_threads) {
  const test::RestoreThreads restore;
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto& [rows, columns] : {std::pair(1000, 7), {1009, 1}, {337, 33}, {2, 5}, {113, 40}}) {
      set_thread_count(1);
      const std::vector<Tensor> expected = train(dtype, rows, columns, {"epilogues"}).values;
      for (const int threads : {1, 2, 3, 8}) {
        set_thread_count(threads);
        for (const std::size_t bytes : {std::size_t{0}, std::size_t{64}}) {
          const std::vector<Tensor> found = train(dtype, rows, columns, {}, bytes).values;
          BOOST_REQUIRE(found.size() == expected.size());
          for (std::size_t i = 0; i < found.size(); ++i) {
            BOOST_TEST(identical(found[i], expected[i]), name_of(dtype)
                                                             << ' ' << rows << " x " << columns << ", "
                                                             << threads << " threads, value " << i);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_result_takes_no_memory_but_for_parts) {
  const test::RestoreThreads restore;
  set_thread_count(2);
  const ProgramSummary parts = train(DType::f32, 3000, 100, {}, {}).summary;
  const ProgramSummary whole = train(DType::f32, 3000, 100, {"epilogues"}, {}).summary;
  BOOST_TEST(parts.tasks + 1 == whole.tasks);
  BOOST_TEST(parts.flops == whole.flops);
  BOOST_TEST(whole.arena_bytes >= 3000U * 100 * 4);
  BOOST_TEST(parts.arena_bytes < 10'000U);
  const std::size_t memory = parts.kernel_bytes - whole.kernel_bytes;
  BOOST_TEST(memory == 2 * kernels::Scratch::aligned(375 * 100 * 4));  // four parts of a thread
}

BOOST_AUTO_TEST_CASE(tasks_are_told_with_the_kernel_and_without_its_result) {
  const auto [values, summary, tasks] = train(DType::f32, 3000, 100, {}, {});
  const auto task = std::ranges::find(tasks, std::string("matmul + loop"), &TaskInfo::op);
  BOOST_REQUIRE(task != tasks.end());
  BOOST_TEST(task->shapes == "[20, 3000] [20, 100] -> [3000, 100]");
  BOOST_TEST(!task->is_loop);
  BOOST_TEST(task->writes_state);
  BOOST_TEST(task->flops > 2.0 * 20 * 3000 * 100);
  const double weights = 3000 * 100 * 4, operands = 20 * 3100 * 4;
  BOOST_TEST(task->bytes >= 6 * weights + operands);  // weight and two moments, read and written
  BOOST_TEST(task->bytes < 6 * weights + operands + 1000);
}

BOOST_AUTO_TEST_CASE(steps_in_parts_allocate_nothing) {
  const test::RestoreThreads restore;
  set_thread_count(2);
  Tape tape;
  const Tensor x = random_tensor({30, 2000}, 1).to(DType::f32), g = random_tensor({30, 80}, 2).to(DType::f32);
  const Var left = tape.input("x", x.type()), right = tape.input("g", g.type());
  Program program = compile(exp(product(left, right)));
  BOOST_REQUIRE(program.summary().tasks == 1U);
  const std::vector<ConstView> arguments{x.view(), g.view()};
  program.run(arguments);
  const std::size_t before = test::allocations();
  for (int i = 0; i < 20; ++i) program.run(arguments);
  BOOST_TEST(test::allocations() == before);
}

// Another answer would be another plan: other threads may change how many there are in the middle.
BOOST_AUTO_TEST_CASE(how_many_rows_a_part_has_is_asked_once) {
  static int asked = 0;
  Op op = registry().at("matmul");
  op.parts.rows = [](std::span<const Type>, const Type&, const Attrs&, std::size_t) -> std::int64_t {
    return asked++ == 0 ? 5 : 0;
  };
  Tape tape;
  const Tensor x = random_tensor({9, 12}, 1).to(DType::f32), g = random_tensor({9, 6}, 2).to(DType::f32);
  const Var left = tape.input("x", x.type()), right = tape.input("g", g.type());
  Program program =
      compile(exp(emit(op, {left, right}, MatmulAttrs{.transpose_a = true})), {.epilogue_bytes = 0});
  BOOST_REQUIRE(program.summary().tasks == 1U);
  BOOST_REQUIRE(asked == 1);
  Program whole = compile(exp(product(left, right)), {.without = {"epilogues"}});
  program.run(std::array{x, g});
  whole.run(std::array{x, g});
  BOOST_TEST(identical(program.output(0), whole.output(0)));
}

// What reads an operand later must not find it overwritten by the loop.
BOOST_AUTO_TEST_CASE(an_operand_of_the_kernel_is_not_overwritten_by_the_loop) {
  Tape tape;
  const Tensor a = random_tensor({64, 64}, 1).to(DType::f32);
  const Var x = exp(tape.input("a", a.type())), y = matmul(x, x) + x;
  Program in_parts = compile(tape, std::vector{sum(exp(y) * x), exp(y)}, {.epilogue_bytes = 0});
  Program whole = compile(tape, std::vector{sum(exp(y) * x), exp(y)}, {.without = {"epilogues"}});
  const Var last = matmul(exp(matmul(x, y) + x), x);  // each part needs all of y, which dies there
  Program alone = compile(last, {.epilogue_bytes = 0});
  Program alone_whole = compile(last, {.without = {"epilogues"}});
  for (auto [p, q] : {std::pair(&in_parts, &whole), {&alone, &alone_whole}}) {
    test::check_plan(p->graph(), p->plan());
    p->run(std::array{a});
    q->run(std::array{a});
    for (std::size_t i = 0; i < p->outputs().size(); ++i) BOOST_TEST(identical(p->output(i), q->output(i)));
  }
  BOOST_TEST(alone.summary().tasks + 2 == alone_whole.summary().tasks);
}

BOOST_AUTO_TEST_SUITE_END()
