#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/function.hpp>
#include <tapestry/core/run/profiler.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/tests/support/allocations.hpp>
#include <tapestry/tests/support/restore_threads.hpp>

#include <algorithm>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

const Tensor& input() {
  static const Tensor x = Tensor::linspace(-1, 1, {64, 48}, DType::f32);
  return x;
}

/// A step with a matrix product and loops, that updates a State.
Function net(const State& w) {
  return [w](Var x) {
    const Var loss = mean(square(relu(matmul(x, w))));
    x.tape().write(w, x.tape().read(w) - 0.1 * gradients(loss, std::vector<State>{w}).front());
    return loss;
  };
}

State weight() { return State("w", Tensor::linspace(-1, 1, {48, 32}, DType::f32)); }

using Kind = Profiler::Slice::Kind;

}  // namespace

BOOST_AUTO_TEST_SUITE(profiler)

BOOST_AUTO_TEST_CASE(every_task_is_counted_and_the_parts_fit_into_the_whole) {
  Profiler watch;
  Function step = net(weight());
  step.profile(&watch, "training");
  const auto begin = watch.now();
  for (int i = 0; i < 7; ++i) step(input());
  const auto wall = watch.now() - begin;
  BOOST_REQUIRE(watch.programs().size() == 1);
  const Profiler::ProgramProfile& program = watch.programs().front();
  BOOST_TEST(program.name == "training");
  BOOST_TEST(program.steps.calls == 7);
  BOOST_TEST(program.step_times.size() == 7);
  const Type type = input().type();
  BOOST_TEST(program.tasks.size() == step.program(std::span(&type, 1)).summary().tasks);
  Profiler::Nanoseconds in_tasks = 0;
  for (const Profiler::Timing& timing : program.timings) {
    BOOST_TEST(timing.calls == 7);
    BOOST_TEST(timing.total >= 0);
    in_tasks += timing.total;
  }
  BOOST_TEST(in_tasks > 0);
  BOOST_TEST(in_tasks <= program.steps.total);
  BOOST_TEST(program.steps.total <= wall);
}

BOOST_AUTO_TEST_CASE(watching_changes_no_result_and_ends_with_null) {
  const State a = weight(), b = weight();
  Function watched = net(a), alone = net(b);
  Profiler watch;
  watched.profile(&watch);
  for (int i = 0; i < 3; ++i) BOOST_TEST(watched(input()).item() == alone(input()).item());
  watched.profile(nullptr);
  watched(input());
  BOOST_TEST(watch.programs().front().steps.calls == 3);
}

BOOST_AUTO_TEST_CASE(watched_steps_allocate_nothing) {
  Profiler watch({.trace_steps = 10});
  const std::uint32_t phase = watch.add_phase("a phase");
  Function step = net(weight());
  step.profile(&watch);
  step(input());
  const std::size_t before = test::allocations();
  for (int i = 0; i < 20; ++i) {  // while the trace is kept, and afterwards
    const PhaseTimer timer(&watch, phase);
    step(input());
  }
  BOOST_TEST(test::allocations() == before);
}

BOOST_AUTO_TEST_CASE(slices_of_the_first_steps_lie_within_them) {
  Profiler watch({.trace_steps = 3});
  Function step = net(weight());
  step.profile(&watch);
  for (int i = 0; i < 6; ++i) step(input());
  const std::vector<Profiler::Slice> slices = watch.slices();
  std::vector<Profiler::Slice> steps, tasks;
  for (const Profiler::Slice& s : slices) {
    BOOST_TEST(s.begin <= s.end);
    if (s.kind == Kind::step) steps.push_back(s);
    if (s.kind == Kind::task) tasks.push_back(s);
  }
  BOOST_TEST(steps.size() == 3);
  BOOST_TEST(tasks.size() == 3 * watch.programs().front().tasks.size());
  BOOST_TEST(watch.dropped() == 0);
  for (const Profiler::Slice& task : tasks) {
    BOOST_TEST(std::ranges::any_of(
        steps, [&](const auto& whole) { return whole.begin <= task.begin && task.end <= whole.end; }));
  }
  for (std::size_t i = 1; i < tasks.size(); ++i) BOOST_TEST(tasks[i - 1].end <= tasks[i].begin);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_dropped_and_counted) {
  Profiler watch({.trace_steps = 100, .trace_slices = 5});
  const std::uint32_t phase = watch.add_phase("p");
  for (int i = 0; i < 8; ++i) const PhaseTimer timer(&watch, phase);
  BOOST_TEST(watch.slices().size() == 5);
  BOOST_TEST(watch.dropped() == 3);
  BOOST_TEST(watch.phases().front().calls == 8);
  Profiler none({.trace_steps = 0});
  { const PhaseTimer timer(&none, none.add_phase("p")); }
  BOOST_TEST(none.slices().empty());
}

BOOST_AUTO_TEST_CASE(phases_of_one_name_are_one_and_no_profiler_is_no_work) {
  Profiler watch;
  BOOST_TEST(watch.add_phase("a") == watch.add_phase("a"));
  BOOST_TEST(watch.add_phase("a") != watch.add_phase("b"));
  const PhaseTimer nothing(nullptr, 0);
}

BOOST_AUTO_TEST_CASE(threads_show_what_they_worked_on) {
  const test::RestoreThreads restore;
  set_thread_count(2);
  Profiler watch;
  parallel_for(4, [](std::int64_t) {});
  const std::vector<Profiler::Slice> slices = watch.slices();
  BOOST_TEST(!slices.empty());
  for (const Profiler::Slice& s : slices) {
    BOOST_CHECK(s.kind == Kind::work);
    BOOST_TEST(s.source == kNone);  // no program's task
  }
}

BOOST_AUTO_TEST_CASE(tasks_are_called_by_what_they_belong_to) {
  Tape tape;
  const State w = weight();
  const Var x = tape.input("x", input().type());
  const auto layer = [&] {
    const Scope scope(tape, "layer", Location::current());
    return relu(matmul(x, w));
  };
  Program program = compile(tape, std::vector<Var>{sum(layer())});
  const std::vector<TaskInfo> infos = task_infos(program.graph(), program.plan());
  BOOST_REQUIRE(infos.size() == 2);
  BOOST_TEST(infos[0].op == "matmul");
  BOOST_TEST(infos[0].label == "layer");
  BOOST_TEST(infos[0].shapes == "[64, 48] [48, 32] -> [64, 32]");
  BOOST_TEST(infos[0].flops == 2.0 * 64 * 48 * 32);
  BOOST_TEST(infos[0].bytes == 4.0 * (64 * 48 + 48 * 32 + 64 * 32));
  BOOST_TEST(infos[0].outside_bytes == 4.0 * (64 * 48 + 48 * 32));  // the argument and the State
  BOOST_TEST(infos[1].label == "layer/relu + sum");
  double flops = 0;
  for (const TaskInfo& info : infos) flops += info.flops;
  BOOST_TEST(flops == program.summary().flops);
}

BOOST_AUTO_TEST_SUITE_END()
