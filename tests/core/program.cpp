#include "../support/random_tensor.hpp"
#include "../support/thrown.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/function.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>

#include <atomic>
#include <cmath>
#include <limits>
#include <string_view>
#include <thread>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::thrown;

BOOST_AUTO_TEST_SUITE(program)

BOOST_AUTO_TEST_CASE(agrees_with_the_interpreter_under_every_subset_of_passes) {
  const std::vector<std::string> names = {"fold_constants", "simplify", "cse", "fuse", "in_place"};
  const Tensor xs = Tensor::linspace(-1, 1, {6, 5});
  for (unsigned mask = 0; mask < 32; ++mask) {
    Tape tape;
    const Var x = tape.input("x", xs.type());
    const Var y = sum(exp(x * 0.5) * (x + 1) - sum(x * x, 1, true) / 3, 0);
    const std::vector<Var> outputs = {y, gradient(sum(y * y), x)};
    CompileOptions options{.verify = true};
    for (unsigned i = 0; i < 5; ++i) {
      if (mask >> i & 1) options.without.push_back(names[i]);
    }
    Program p = compile(tape, outputs, options);
    p.run({&xs, 1});
    Graph graph = tape.graph();
    for (const Var& o : outputs) graph.outputs.push_back(o.id());
    const std::vector<Tensor> expected = interpret(graph, {&xs, 1});
    for (std::size_t i = 0; i < 2; ++i) {
      BOOST_REQUIRE(p.output(i).type() == expected[i].type());
      for (std::int64_t k = 0; k < expected[i].elements(); ++k) {
        BOOST_TEST(p.output(i).at(k) == expected[i].at(k), boost::test_tools::tolerance(1e-12));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(state_is_updated_and_can_swap) {
  const State a("a", Tensor::from({1.0f, 2.0f}, {2})), b("b", Tensor::from({10.0f, 20.0f}, {2}));
  Tape tape;
  const Var old_a = tape.read(a), old_b = tape.read(b);
  tape.write(a, old_b);
  tape.write(b, old_a);
  Program p = compile(tape, std::vector<Var>{old_a + old_b});
  p.run();
  BOOST_TEST(a.value().at(1) == 20);
  BOOST_TEST(b.value().at(1) == 2);
  BOOST_TEST(p.output().at(0) == 11);
}

BOOST_AUTO_TEST_CASE(reads_after_a_write_see_the_new_value) {
  const State n("n", Tensor::scalar(1.0));
  Tape tape;
  tape.write(n, tape.read(n) * 3);
  tape.write(n, tape.read(n) + 1);
  Program p = compile(tape.read(n));
  p.run();
  BOOST_TEST(n.value().item() == 4);
  BOOST_TEST(p.output().item() == 4);
  p.run();
  BOOST_TEST(n.value().item() == 13);
}

BOOST_AUTO_TEST_CASE(a_snapshot_is_not_touched_by_later_steps) {
  const State w("w", Tensor::full<float>({1000}, 1));
  Tape tape;
  tape.write(w, tape.read(w) * 2);
  Program p = compile(tape, {});
  p.run();
  const Tensor snapshot = w.value();
  p.run();
  BOOST_TEST(snapshot.at(999) == 2);
  BOOST_TEST(w.value().at(999) == 4);
}

BOOST_AUTO_TEST_CASE(a_step_that_is_not_finite_changes_nothing) {
  const State w("w", Tensor::full<float>({3}, 1));
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {3}});
  const int line = __LINE__ + 1;
  const Var y = log(x);
  const Var loss = sum(y * w);
  tape.write(w, tape.read(w) - gradient(loss, w));
  Program p = compile(tape, {&loss, 1}, {.require_finite = true});
  const Tensor good = Tensor::from({1.0f, 1.0f, 1.0f}, {3});
  p.run({&good, 1});
  const Tensor before = w.value();
  const Tensor bad = Tensor::from({1.0f, -1.0f, 1.0f}, {3});
  BOOST_CHECK_EXCEPTION(p.run({&bad, 1}), NotFinite, [&](const NotFinite& e) {
    BOOST_TEST_MESSAGE(e.what());
    return std::string(e.what()).find(text("first made by log f32 [3] (program.cpp:", line)) !=
           std::string::npos;
  });
  BOOST_TEST(identical(before, w.value()));
}

BOOST_AUTO_TEST_CASE(functions_are_compiled_once_a_signature) {
  int traces = 0;
  Function f = [&](Var x, Var y) {
    ++traces;
    return x * y + 1;
  };
  BOOST_TEST(f(Tensor::scalar(2.0f), Tensor::scalar(3.0f)).item() == 7);
  BOOST_TEST(f(Tensor::scalar(4.0f), Tensor::scalar(3.0f)).item() == 13);
  BOOST_TEST(traces == 1);
  BOOST_TEST(f(Tensor::scalar(4.0), Tensor::scalar(3.0)).item() == 13);
  BOOST_TEST(traces == 2);
  BOOST_CHECK_THROW(f(Tensor::scalar(1.0)), Error);
}

BOOST_AUTO_TEST_CASE(deep_chains_need_no_deep_stack) {
  for (const int n : {1000, 100000}) {
    Tape tape;
    const Var x = tape.input("x", {DType::f32, {8}});
    Var y = x;
    for (int i = 0; i < n; ++i) y = y * 0.5 + x;
    const Var g = gradient(sum(y), x);
    Program p = compile(tape, std::vector<Var>{sum(y), g});
    const Tensor ones = Tensor::full<float>({8}, 1);
    p.run({&ones, 1});
    BOOST_TEST(p.output(0).item() == 16, boost::test_tools::tolerance(1e-6));
    BOOST_TEST(p.output(1).at(3) == 2, boost::test_tools::tolerance(1e-6));
  }
}

BOOST_AUTO_TEST_CASE(mistakes) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2}});
  Program p = compile(exp(x));
  const Tensor wrong(DType::f32, {3});
  BOOST_CHECK_EXCEPTION(p.run({&wrong, 1}), Error, [](const Error& e) {
    return std::string(e.what()) == "argument x is f32 [2], not f32 [3]";
  });
  BOOST_CHECK_THROW(p.run(), Error);
  BOOST_CHECK_THROW(compile(x, {.without = {"cse", "csa"}}), Error);
}

BOOST_AUTO_TEST_CASE(a_result_can_be_the_next_argument) {
  const State w("w", Tensor::from({0.0f, 1.0f, 1.0f, 0.0f}, {2, 2}));
  Function f = [&](Var x) { return sum(broadcast_to(expand_dims(x, {0}), {2, 2}) * w, 1) + 1; };
  const Tensor x = Tensor::from({1.0f, 5.0f}, {2});
  const Tensor once = f(x), twice = f(f(x));
  BOOST_TEST(once.at(0) == 6);
  BOOST_TEST(twice.at(0) == 3);
  BOOST_TEST(twice.at(1) == 7);
  Function g = [&](Var v) {
    v.tape().write(w, v * 2);
    return sum(v) + sum(v.tape().read(w));
  };
  g(w.value());
  BOOST_TEST(g(w.value()).item() == 12);
}

BOOST_AUTO_TEST_CASE(a_result_that_is_the_argument_is_not_overwritten_while_it_is_needed) {
  Function f = [](Var x) {
    const Var next = x + 1;  // lies where x does at the second call, and the product still reads x
    return std::vector<Var>{next, matmul(x, next)};
  };
  const Tensor x = Tensor::from({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
  f(x);
  const ConstView again = f.program(std::vector{x.view()}).output().view();
  const Tensor& product = f.run(std::vector{again}).at(1);
  const double expected[] = {2 * 3 + 3 * 5, 2 * 4 + 3 * 6, 4 * 3 + 5 * 5, 4 * 4 + 5 * 6};
  for (int i = 0; i < 4; ++i) BOOST_TEST(product.at(i) == expected[i]);
}

BOOST_AUTO_TEST_CASE(an_index_out_of_range_changes_no_state) {
  const State n("n", Tensor::scalar(std::int64_t{0}));
  Function f = [&](Var table, Var index) {
    index.tape().write(n, index.tape().read(n) + 1);
    return take(table, index, 0);
  };
  const Tensor table(DType::f32, {3, 2});
  f(table, Tensor::scalar(std::int64_t{2}));
  BOOST_CHECK_THROW(f(table, Tensor::scalar(std::int64_t{3})), Error);
  BOOST_TEST(n.value().item() == 1);
}

BOOST_AUTO_TEST_CASE(integers_wrap_and_keep_their_digits_in_fused_loops) {
  Function f = [&](Var a, Var b) { return (a + b) / 2; };
  const auto u8 = [](int v) { return Tensor::full<std::uint8_t>({3}, std::uint8_t(v)); };
  BOOST_TEST(f(u8(200), u8(100)).at(0) == 22);
  Function g = [&](Var a) { return a + Tensor::scalar((std::int64_t{1} << 53) + 1); };
  BOOST_TEST(g(Tensor::full<std::int64_t>({3}, 0)).values<std::int64_t>()[1] == (std::int64_t{1} << 53) + 1);
}

BOOST_AUTO_TEST_CASE(outputs_that_are_arguments_are_checked_as_they_are_now) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2}});
  Program p = compile(tape, std::vector<Var>{sum(x * 0), x}, {.require_finite = true});
  const Tensor bad = Tensor::from({1.0f, std::numeric_limits<float>::infinity()}, {2});
  const Tensor good = Tensor::from({1.0f, 2.0f}, {2});
  BOOST_CHECK_THROW(p.run({&bad, 1}), NotFinite);
  p.run({&good, 1});
  BOOST_TEST(p.output(1).at(1) == 2);
}

BOOST_AUTO_TEST_CASE(programs_stay_where_they_are) {
  Function f = [](Var x) { return x * 2; };
  const Type one{DType::f32, {1}};
  Program& first = f.program(std::span(&one, 1));
  for (int i = 2; i < 20; ++i) f(Tensor(DType::f32, {i}));
  const Tensor x = Tensor::from({3.0f}, {1});
  first.run({&x, 1});
  BOOST_TEST(first.output().item() == 6);
}

// So that programs which only read it may run at once.
BOOST_AUTO_TEST_CASE(state_that_is_only_read_stays_where_it_is) {
  const Tensor held = Tensor::from({1.0f, 2.0f}, {2});
  const State w("w", held), total("total", held);
  Tape tape;
  const Var sum_of_both = tape.read(w) + tape.read(total);
  tape.write(total, sum_of_both);
  Program p = compile(sum_of_both);
  p.run();
  BOOST_TEST(w.value().data() == held.data());
  BOOST_TEST(total.value().at(1) == 4);
  BOOST_TEST(held.at(1) == 2);
}

BOOST_AUTO_TEST_CASE(what_was_moved_from_says_so) {
  Function f = [](Var x) { return x * 2; };
  const Tensor x = Tensor::scalar(3.0);
  f(x);
  Function g = std::move(f);
  BOOST_TEST(g(x).item() == 6);
  BOOST_TEST(thrown([&] { f(x); }).starts_with("the function has nothing to record"));

  Tape tape;
  Program p = compile(tape.constant(2.0, DType::f64)), q = std::move(p);
  q.run();
  BOOST_TEST(q.output().item() == 2);
  BOOST_TEST(thrown([&] { p.run(); }) == "this program was moved to another variable");
  BOOST_TEST(thrown([&] { p.outputs(); }) == "this program was moved to another variable");

  State a("a", x);
  const State b = std::move(a);
  BOOST_TEST((a == b));
}

BOOST_AUTO_TEST_CASE(outputs_that_are_not_there_are_named) {
  Function none(1, [](Tape&, std::span<const Var>) { return std::vector<Var>(); });
  BOOST_TEST(thrown([&] { none(Tensor()); }) == "the function has no outputs: run it by run()");
  Tape tape;
  BOOST_TEST(thrown([&] { compile(tape, {}).output(); }) ==
             "the program has 0 outputs: there is no output 0");
  Function constant(
      0, [](Tape& t, std::span<const Var>) { return std::vector<Var>{t.constant(2.0, DType::f64)}; });
  BOOST_TEST(constant().item() == 2);
}

BOOST_AUTO_TEST_CASE(steps_of_one_program_that_overlap_are_an_error) {
  Tape tape;
  const Var x = tape.input("x", {DType::f64, {200, 200}});
  Program p = compile(matmul(x, x));
  const Tensor xs = Tensor::linspace(-1, 1, {200, 200});
  p.run({&xs, 1});
  const Tensor expected = p.output();
  std::atomic<int> refused{0};
  const auto many_steps = [&] {
    for (int i = 0; i < 3000 && refused == 0; ++i) {
      try {
        p.run({&xs, 1});
      } catch (const Error&) {
        ++refused;
      }
    }
  };
  { const std::jthread one(many_steps), two(many_steps); }
  BOOST_TEST(refused > 0);
  p.run({&xs, 1});
  BOOST_TEST(identical(p.output(), expected));
}

// Nor do they touch the arguments of the step that runs.
BOOST_AUTO_TEST_CASE(steps_that_are_refused_change_no_other_arguments) {
  Tape tape;
  const std::vector<Tensor> xs(300, Tensor::scalar(3.0));
  std::vector<Var> inputs;
  for (std::size_t i = 0; i < xs.size(); ++i) inputs.push_back(tape.input("x", {DType::f64, {}}));
  Program p = compile(inputs.front() * 2);
  std::atomic<bool> done{false};
  int mixed = 0;
  {
    const std::jthread other([&] {
      while (!done) thrown([&] { p.run(std::span<const Tensor>()); });
    });
    for (int i = 0; i < 20'000 && mixed == 0; ++i) {
      try {
        p.run(xs);
      } catch (const Error& error) {
        mixed += !std::string_view(error.what()).starts_with("the program is running already");
      }
    }
    done = true;
  }
  BOOST_TEST(mixed == 0);
}

// What a loop with rows stores, and with it how much it holds at once, changes when other loops compute again
// what it made.
BOOST_AUTO_TEST_CASE(loops_with_long_rows_fit_after_values_are_computed_again) {
  const Shape features{1000};
  Tape tape;
  const Var x = tape.input("x", {DType::f64, {1, 4, 1000}});
  const Var gamma = tape.input("gamma", {DType::f64, features}),
            beta = tape.input("beta", {DType::f64, features});
  const Var normal = batchnorm(x, gamma, beta, 1e-2), total = logsumexp(x, {1, 2}, kKeepDims);
  const Var y = exp(-abs(x - total)) + total, z = normal + y;
  const Var larger = where(y < z, y * 2, z);
  const Var slope = gradient(sum(sin(larger - max(larger, -1, kKeepDims))), x);
  Graph graph = tape.graph();
  graph.outputs = {slope.id()};
  const std::vector<Tensor> arguments = {test::random_tensor({1, 4, 1000}), test::random_tensor(features, 2),
                                         test::random_tensor(features, 3)};
  const Tensor expected = interpret(graph, arguments)[0];
  for (const std::vector<std::string>& without :
       {std::vector<std::string>{"simplify", "cse"}, {"simplify"}, {"cse"}, {}}) {
    Program program(graph, {.without = without});
    program.run(arguments);
    for (std::int64_t i = 0; i < expected.elements(); ++i) {
      if (!(std::abs(program.output(0).at(i) - expected.at(i)) <= 1e-12))
        BOOST_ERROR("element " << i << " is " << program.output(0).at(i) << ", not " << expected.at(i));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
