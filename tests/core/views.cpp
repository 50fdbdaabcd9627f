// Slices of leading axes that lie in the memory of what they are slices of.
#include "../support/check_plan.hpp"
#include "../support/random_tensor.hpp"

#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/memory_map.hpp>
#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/compile/task_info.hpp>
#include <tapestry/core/compile/views.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/language.hpp>
#include <tapestry/core/random.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <algorithm>
#include <array>
#include <functional>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::random_tensor;

namespace {

constexpr std::size_t kRow = 16 * 4;  // bytes of a row of 16 f32
const Type kMatrix{DType::f32, {8, 16}};

struct Planned {
  Graph graph;
  Plan plan;
};

Planned planned(Tape& tape, const std::vector<Var>& outputs, const PlanOptions& options = {}) {
  Planned p{remove_dead_code(expand(tape.take(outputs))), {}};
  p.plan = plan(p.graph, options);
  test::check_plan(p.graph, p.plan, options);
  return p;
}

std::vector<ValueId> slices_of(const Graph& graph) {
  std::vector<ValueId> all;
  for (ValueId id = 0; id < graph.size(); ++id) {
    if (graph.is(id, "slice")) all.push_back(id);
  }
  return all;
}

/// Of the slices of a program, in order: v for a view, c for a copy.
std::string kinds(const Planned& p) {
  std::string all;
  for (const ValueId id : slices_of(p.graph)) all += p.graph.is_view(id) ? 'v' : 'c';
  return all;
}

/// The kind of the only slice of what use(part(y)) makes, y being made by a product.
std::string kind_of(const std::function<Var(Var)>& part, const std::function<Var(Var)>& use) {
  Tape tape;
  const Var x = tape.input("x", kMatrix), y = matmul(x, tape.input("w", {DType::f32, {16, 16}}));
  return kinds(planned(tape, {use(part(y)), sum(y)}));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(views)

BOOST_AUTO_TEST_CASE(two_halves_take_no_memory_and_no_time) {
  const auto plan_of = [](bool views) {
    Tape tape;
    const Var x = tape.input("x", kMatrix), y = matmul(x, tape.input("w", {DType::f32, {16, 16}}));
    const Var upper = slice(y, 0, 0, 4), lower = slice(y, 0, 4, 8);
    const Var product = matmul(upper, lower, {false, true});
    return planned(tape, {sum(product)}, {.views = views});
  };
  const Planned with = plan_of(true), without = plan_of(false);
  BOOST_TEST(kinds(with) == "vv");
  BOOST_TEST(kinds(without) == "cc");
  BOOST_TEST(with.plan.tasks.size() + 2 == without.plan.tasks.size());
  const std::size_t product = 4 * 4 * 4;
  BOOST_TEST(with.plan.arena_bytes == 8 * kRow + product);
  BOOST_TEST(without.plan.arena_bytes == 2 * 8 * kRow);  // the halves beside the whole
  const std::vector<ValueId> halves = slices_of(with.graph);
  const Place whole = with.plan.places[storage_of(with.graph, halves[0])];
  for (int i = 0; i < 2; ++i) {
    const Place& half = with.plan.places[halves[std::size_t(i)]];
    BOOST_TEST((half.kind == Place::Kind::arena && half.index == whole.index));
    BOOST_TEST(half.offset == std::size_t(i) * 4 * kRow);
  }
  // Reading a half is reading its bytes.
  const std::vector<TaskInfo> tasks = task_infos(with.graph, with.plan);
  BOOST_TEST(tasks[1].op == "matmul");
  BOOST_TEST(tasks[1].bytes == double(8 * kRow + product));
  // The picture of it has one block where there were three.
  BOOST_TEST(memory_blocks(with.graph, with.plan).size() + 2 ==
             memory_blocks(without.graph, without.plan).size());
}

BOOST_AUTO_TEST_CASE(elements_that_follow_one_another_are_found) {
  const Op& op = registry().at("slice");
  Random random(5, 0);
  int runs = 0;
  for (int i = 0; i < 2000; ++i) {
    Shape shape;
    std::vector<Range> ranges;
    for (int axis = int(random.below(4)); axis >= 0; --axis) {
      const std::int64_t n = random.below(4) + 1, start = random.below(n);
      shape.push_back(n);
      const bool all = random.below(2) == 0;
      ranges.push_back({all ? 0 : start, all ? n : n - random.below(2), random.below(4) / 3 + 1});
    }
    Tape tape;
    const Var x = tape.input("x", {DType::i64, shape}), y = slice(x, ranges);
    const Node& node = tape.graph().node(y.id());
    const auto first = op.run_of(x.type(), node.attrs);
    const Tensor numbers =
        Tensor::linspace(0, double(shape.elements() - 1), {shape.elements()}).to(DType::i64);
    Graph graph = tape.graph();
    graph.outputs.push_back(y.id());
    const Tensor taken = interpret(graph, std::array{numbers.reshaped(shape)})[0];
    if (taken.elements() == 0) continue;
    bool is_run = true;
    for (std::int64_t k = 0; k < taken.elements(); ++k)
      is_run = is_run && taken.at(k) == taken.at(0) + double(k);
    BOOST_TEST(first.has_value() == is_run, shape << " -> " << taken.type());
    if (first) BOOST_TEST(double(*first) == taken.at(0));
    runs += is_run;
  }
  BOOST_TEST(runs > 300);
  BOOST_TEST(runs < 1700);
}

BOOST_AUTO_TEST_CASE(which_slices_are_views) {
  const auto loop = [](const Var& s) { return sum(exp(s)); };
  const auto product = [](const Var& s) { return sum(matmul(s, reshape(s, {s.shape()[1], s.shape()[0]}))); };
  const auto rows = [](std::int64_t from, std::int64_t to, std::int64_t step = 1) {
    return [=](const Var& y) { return slice(y, 0, from, to, step); };
  };
  BOOST_TEST(kind_of(rows(2, 6), loop) == "v");
  BOOST_TEST(kind_of(rows(2, 6), product) == "v");
  BOOST_TEST(kind_of(rows(2, 6, 2), loop) == "c");
  BOOST_TEST(kind_of([](const Var& y) { return slice(y, 1, 2, 6); }, loop) == "c");
  // Axes before it that have one element, of x or of the slice.
  BOOST_TEST(kind_of([](const Var& y) { return slice(reshape(y, {1, 8, 16}), 1, 2, 6); }, loop) == "v");
  const auto inner = [](const Var& y) { return slice(reshape(y, {2, 4, 16}), {{1, 2}, {1, 3}}); };
  BOOST_TEST(kind_of(inner, loop) == "v");
  // Away from a cache line's beginning: neither a loop nor a product cares.
  const auto odd = [](const Var& y) { return slice(reshape(y, {32, 4}), 0, 3, 7); };
  BOOST_TEST(kind_of(odd, loop) == "v");
  BOOST_TEST(kind_of(odd, product) == "v");
  // Outputs have memory of their own, and what is copied there may as well be a slice; also through a view.
  BOOST_TEST(kind_of(rows(2, 6), [](const Var& s) { return s; }) == "c");
  BOOST_TEST(kind_of(rows(2, 6), [](const Var& s) { return reshape(s, {64}); }) == "c");
}

BOOST_AUTO_TEST_CASE(a_slice_of_a_slice_and_of_a_reshaped_slice) {
  Tape tape;
  const Var x = tape.input("x", kMatrix), y = matmul(x, tape.input("w", {DType::f32, {16, 16}}));
  const Var outer = slice(y, 0, 2, 8), inner = slice(reshape(outer, {3, 2, 16}), 0, 1, 2);
  const Var first = sum(exp(inner)), second = sum(exp(outer));
  const Planned p = planned(tape, {first + second});
  BOOST_TEST(kinds(p) == "vv");
  const std::vector<ValueId> both = slices_of(p.graph);
  BOOST_TEST(p.plan.places[both[0]].offset == 2 * kRow);
  BOOST_TEST(p.plan.places[both[1]].offset == 4 * kRow);
  BOOST_TEST(storage_of(p.graph, both[1]) == storage_of(p.graph, both[0]));
}

// A small part that is needed for long would keep all of it.
BOOST_AUTO_TEST_CASE(a_part_that_outlives_the_whole_is_copied) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {64, 64}});
  const Var y = matmul(x, x), part = slice(y, 0, 0, 1);
  Var h = matmul(y, x);
  for (int i = 0; i < 8; ++i) h = matmul(h, x);
  const Planned p = planned(tape, {sum(matmul(part, h))});
  BOOST_TEST(kinds(p) == "c");
  BOOST_TEST(p.plan.arena_bytes < 3 * 64 * 64 * 4u);
}

// prod() multiplies halves with halves.
BOOST_AUTO_TEST_CASE(products_of_many_take_less_memory) {
  const auto summary = [](const std::vector<std::string>& without) {
    Tape tape;
    const Var x = tape.input("x", {DType::f32, {64, 256}}), y = sum(prod(exp(x), 0));
    return compile(tape, std::vector<Var>{gradient(y, x), y}, {.without = without}).summary();
  };
  const ProgramSummary shared = summary({}), copied = summary({"views"});
  BOOST_TEST(shared.arena_bytes < copied.arena_bytes);
  BOOST_TEST(shared.tasks + 12 == copied.tasks);
}

BOOST_AUTO_TEST_CASE(the_cotangent_of_a_join_is_not_taken_apart) {
  const auto summary = [](const std::vector<std::string>& without) {
    Tape tape;
    const Var x = tape.input("x", {DType::f32, {64, 32}});
    const Var a = tape.input("a", {DType::f32, {32, 64}}), b = tape.input("b", a.type());
    const Var y = sum(exp(concat({matmul(x, a), matmul(x, b)}, 0)));
    return compile(tape, gradients(y, std::array{a, b}), {.without = without}).summary();
  };
  const ProgramSummary shared = summary({}), copied = summary({"views"});
  BOOST_TEST(shared.arena_bytes <= copied.arena_bytes);
  BOOST_TEST(shared.tasks + 2 == copied.tasks);
}

/// Two steps of what `record` makes of x [8, 16], w [16, 16] and a State [8, 16]: outputs and State after
/// each.
std::vector<Tensor> two_steps(const std::function<std::vector<Var>(Var x, Var w, const State& s)>& record,
                              const std::vector<std::string>& without, std::string* kind = nullptr) {
  const State state("state", Tensor::linspace(0, 1, kMatrix.shape, DType::f32));
  const Tensor arguments[] = {random_tensor(kMatrix.shape).to(DType::f32),
                              random_tensor({16, 16}, 2).to(DType::f32)};
  Tape tape;
  const Var x = tape.input("x", kMatrix), w = tape.input("w", arguments[1].type());
  Program program = compile(tape, record(x, w, state), {.without = without});
  test::check_plan(program.graph(), program.plan(), {.views = without.empty()});
  if (kind) *kind = kinds({program.graph(), {}});
  std::vector<Tensor> all;
  for (int step = 0; step < 2; ++step) {
    program.run(arguments);
    for (const Tensor& output : program.outputs()) all.push_back(output);
    all.push_back(state.value());
  }
  return all;
}

BOOST_AUTO_TEST_CASE(a_state_that_is_overwritten_is_not_seen_changed) {
  struct Case {
    std::string kind;
    std::function<std::vector<Var>(Var x, Var w, const State& s)> record;
  };
  const auto rows = [](const Var& of, std::int64_t from, std::int64_t to) { return slice(of, 0, from, to); };
  const Case cases[] = {
      {"v",  // the old value is read, then overwritten
       [&](Var x, Var w, const State& s) {
         const Var old = x.tape().read(s), seen = matmul(rows(old, 4, 8), w);
         x.tape().write(s, old * 0.5 + matmul(x, w));
         return std::vector{seen};
       }},
      {"cv",  // what is read with the old value depends on the new one
       [&](Var x, Var w, const State& s) {
         const Var old = x.tape().read(s), changed = old * 0.5 + matmul(x, w);
         x.tape().write(s, changed);
         const Var before = rows(old, 4, 8), after = rows(changed, 0, 4);
         return std::vector{matmul(reshape(before, {16, 4}), after)};
       }},
      {"c",  // the loop that makes the new value reads a part of the old one at another place
       [&](Var x, Var, const State& s) {
         const Var old = x.tape().read(s);
         x.tape().write(s, x + old + rows(old, 3, 4));
         return std::vector{sum(x)};
       }},
      {"vv",  // of the new value, and nothing overwrites that
       [&](Var x, Var w, const State& s) {
         x.tape().write(s, matmul(x, w));
         const Var now = x.tape().read(s);
         return std::vector{matmul(rows(now, 0, 4), w) - exp(rows(now, 4, 8))};
       }},
      {"c",  // the new value itself, through a view
       [&](Var x, Var w, const State& s) {
         const Var both = matmul(reshape(concat({x, x}, 0), {16, 16}), w);
         x.tape().write(s, reshape(rows(both, 8, 16), {8, 16}));
         return std::vector{sum(both)};
       }},
  };
  for (const Case& c : cases) {
    std::string kind;
    const std::vector<Tensor> found = two_steps(c.record, {}, &kind);
    const std::vector<Tensor> expected = two_steps(c.record, {"views"});
    BOOST_TEST(kind == c.kind);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      BOOST_TEST(identical(found[i], expected[i]), "case " << &c - cases << ", result " << i);
    }
  }
}

// f(f(x)), and parts of it: the argument is the output that the step writes.
BOOST_AUTO_TEST_CASE(parts_of_an_argument_that_is_overwritten) {
  Tape tape;
  const Var x = tape.input("x", kMatrix);
  const Var halves = concat({exp(slice(x, 0, 4, 8)), exp(-slice(x, 0, 0, 4))}, 0);
  Program program = compile(tape, std::vector<Var>{halves * 0.5, sum(halves)});
  BOOST_TEST(kinds({program.graph(), {}}) == "vv");
  Tensor value = Tensor::linspace(0, 1, kMatrix.shape, DType::f32);
  Graph graph = program.graph();
  for (int step = 0; step < 3; ++step) {
    const std::vector<Tensor> expected = interpret(graph, std::array{value});
    program.run(std::array{step == 0 ? value : program.output()});
    BOOST_TEST(identical(program.output(), expected[0]));
    value = expected[0];
  }
}

BOOST_AUTO_TEST_CASE(what_waits_for_others_goes_on_waiting_as_a_view) {
  Tape tape;
  const Type type{DType::f32, {64, 64}};
  const Var x = tape.input("x", type), y = matmul(x, x), late = matmul(y, x);
  const Var part = slice(language::wait_for(std::array{late}, y), 0, 0, 32);
  const Planned p = planned(tape, {sum(matmul(part, x)), sum(late)});
  BOOST_TEST(kinds(p) == "v");
  std::size_t makes_late = 0, reads_part = 0;
  for (std::size_t t = 0; t < p.plan.tasks.size(); ++t) {
    const Task& task = p.plan.tasks[t];
    if (task.loop) continue;
    (p.graph.type(task.writes[0]).shape[0] == 32 ? reads_part : makes_late) = t;
  }
  BOOST_TEST(makes_late < reads_part);
}

BOOST_AUTO_TEST_SUITE_END()
