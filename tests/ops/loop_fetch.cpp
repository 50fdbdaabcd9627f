#include <tapestry/ops/kernels/loop_plan.hpp>

#include <algorithm>
#include <optional>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

constexpr std::int64_t kRows = 4096, kColumns = 512;

/// Of one step or of several, over so many streams.
Loop loop_over(std::size_t streams, bool has_rows) {
  Loop loop{.extents = {kRows, kColumns}};
  loop.inputs.assign(streams, {DType::f32, {kColumns, 1}});
  loop.code = {{Code::mul, Operand::input(0), Operand::input(streams - 1)}};
  if (has_rows) {
    loop.row = 1;
    loop.code.push_back({Code::row_sum, Operand::result(0)});
    loop.code.push_back({Code::sqrt, Operand::result(1)});
    loop.code.push_back({Code::mul, Operand::result(0), Operand::result(2)});
  }
  loop.outputs = {{Operand::result(loop.code.size() - 1), DType::f32, Reduce::none, {kColumns, 1}}};
  return loop;
}

/// The plan as that of a CPU of this kind.
LoopPlan plan_for(const Loop& loop, Fetching fetching, Joining joining = Joining::none) {
  LoopPlan plan = *make_plan(loop, Use::often, joining);
  plan.fetches = false;
  for (Leaf& leaf : plan.leaves) {
    leaf.fetched = false;
    leaf.meanwhile = -1;
  }
  for (Segment& segment : plan.segments) {
    for (Segment::Input& input : segment.inputs) {
      input.ahead = 0;
      input.into_second = false;
    }
  }
  fetch_ahead(plan, fetching);
  return plan;
}

std::ptrdiff_t asking(const LoopPlan& plan) {
  std::ptrdiff_t count = 0;
  for (const Segment& segment : plan.segments) {
    count += std::ranges::count_if(segment.inputs, [](const auto& input) { return input.ahead > 0; });
  }
  return count;
}

boost::test_tools::assertion_result makes_code(boost::unit_test::test_unit_id) { return assembles(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(loop_fetch)

BOOST_AUTO_TEST_CASE(segments_ask_ahead_where_it_pays, *boost::unit_test::precondition(makes_code)) {
  for (const std::size_t streams : {1, 2}) {
    for (const bool has_rows : {false, true}) {
      const Loop loop = loop_over(streams, has_rows);
      const LoopPlan all = plan_for(loop, Fetching::all);
      BOOST_TEST(asking(all) == std::ptrdiff_t(streams));
      BOOST_TEST(all.fetches == has_rows);
      const LoopPlan single = plan_for(loop, Fetching::single_streams);
      BOOST_TEST(asking(single) == (has_rows && streams == 1 ? 1 : 0));
      BOOST_TEST(single.fetches == (has_rows && streams == 1));
      if (single.fetches) {
        // Of the two segments the second.
        const auto& input = single.segments.back().inputs[0];
        BOOST_TEST((input.ahead == single.block_slices * kColumns * 4 && input.into_second));
      }
      for (const Segment& segment : all.segments) {
        BOOST_TEST(std::ranges::none_of(segment.inputs, &Segment::Input::into_second));
      }
      // Where rows take turns, for all that is read, but not as far.
      const LoopPlan joined = plan_for(loop, Fetching::single_streams, Joining::large);
      BOOST_TEST(asking(joined) == (has_rows ? std::ptrdiff_t(streams) : 0));
      BOOST_TEST(!joined.fetches);
      if (has_rows) {
        const auto& input = joined.segments.back().inputs[0];
        BOOST_TEST((input.ahead % 4096 != 0 && input.ahead < single.block_slices * kColumns * 4));
        BOOST_TEST(input.into_second);
      }
      const LoopPlan here = *make_plan(loop);
      BOOST_TEST(asking(here) == asking(joining_of_this_cpu() == Joining::large   ? joined
                                        : fetching_of_this_cpu() == Fetching::all ? all
                                                                                  : single));
    }
  }
}

BOOST_AUTO_TEST_CASE(small_loops_do_not_ask) {
  Loop loop = loop_over(1, true);
  loop.extents = {64, kColumns};
  const LoopPlan plan = plan_for(loop, Fetching::all);
  BOOST_TEST(asking(plan) == 0);
  BOOST_TEST(!plan.fetches);
}

// On any CPU: drawing is all arithmetic.
BOOST_AUTO_TEST_CASE(one_stream_is_asked_for_while_random_numbers_are_drawn) {
  Loop loop{.extents = {kRows * kColumns}};
  loop.inputs = {{DType::f32, {1}}, {DType::i64, {0}}, {DType::f32, {1}}};
  loop.code = {{Code::uniform, Operand::input(1)},
               {Code::mul, Operand::input(0), Operand::result(0)},
               {Code::add, Operand::input(2), Operand::result(1)}};
  loop.outputs = {{Operand::result(2), DType::f32, Reduce::none, {1}}};
  for (const Fetching fetching : {Fetching::all, Fetching::single_streams}) {
    const LoopPlan plan = plan_for(loop, fetching);
    const auto meanwhile =
        std::ranges::count_if(plan.leaves, [](const Leaf& leaf) { return leaf.meanwhile >= 0; });
    BOOST_TEST(meanwhile == (assembles() ? 0 : 1));
  }
  loop.code.pop_back();
  loop.inputs.pop_back();
  loop.outputs[0].value = Operand::result(1);
  for (const Fetching fetching : {Fetching::all, Fetching::single_streams}) {
    const LoopPlan plan = plan_for(loop, fetching);
    if (!assembles()) continue;
    BOOST_TEST(asking(plan) == 1);
    BOOST_TEST(!plan.fetches);
    for (const Segment::Input& input : plan.segments[0].inputs) {
      const bool asks = input.from == From::element && input.drawing < 0;
      BOOST_TEST((input.ahead == (asks ? 4096 : 0) && !input.into_second));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
