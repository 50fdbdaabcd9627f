// Steps of a block that are done for one row after the other.
#include "../support/assembled.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

using namespace tapestry;
using namespace tapestry::kernels;

namespace {

std::optional<LoopPlan> plan_of(const Loop& loop, Joining joining) {
  return make_plan(loop, Use::often, joining);
}

/// NaNs of all kinds are the same.
bool same_values(const std::vector<Storage>& a, const std::vector<Storage>& b) {
  const auto values = [](const Storage& s) {
    const auto* from = reinterpret_cast<const float*>(s.bytes.data());
    return std::vector<float>(from, from + s.bytes.size() / sizeof(float));
  };
  return std::ranges::equal(a, b, [&](const Storage& x, const Storage& y) {
    return x.dtype == DType::f32 ? same_bits(values(x), values(y)) : x.bytes == y.bytes;
  });
}

/// Elements, columns and rows in all kinds of instructions that segments have, and sums of rows of those.
Loop random_rows(Generator& random) {
  const std::int64_t columns = 64 + below(random, 240);
  // No more than a panel has: blocks of any size then add up columns in one order.
  const std::int64_t rows = 1 + below(random, kMostPanelRows);
  const Shape full{columns, 1}, column{0, 1}, row{1, 0};
  Loop loop{.extents = {rows, columns}, .row = 1, .inputs = {{DType::f32, full}}};
  for (auto n = below(random, 4); n > 0; --n) {
    const Shape strides[] = {full, column, row};
    loop.inputs.push_back({random() % 4 ? DType::f32 : DType::bf16, strides[random() % 3]});
  }
  const auto operand = [&] {
    // What nobody reads isn't computed.
    if (loop.code.size() > 1 && random() % 3 == 0) return res(loop.code.size() - 1 - random() % 2);
    const std::size_t inputs = loop.inputs.size(), which = random() % (inputs + loop.code.size() + 1);
    if (which == inputs + loop.code.size()) return Operand::constant(double(below(random, 5)) / 4);
    return which < inputs ? in(which) : res(which - inputs);
  };
  std::vector<std::size_t> of_rows;
  for (auto n = 4 + below(random, 16); n > 0; --n) {
    constexpr Code kCodes[] = {Code::add, Code::sub, Code::mul,        Code::max,    Code::neg,  Code::abs,
                               Code::exp, Code::lt,  Code::mul_no_nan, Code::select, Code::sqrt, Code::div};
    constexpr Code kReducing[] = {Code::row_sum, Code::row_max, Code::row_min};
    const bool reduces = random() % 4 == 0;
    const Code code = reduces ? kReducing[random() % 3] : kCodes[random() % std::size(kCodes)];
    if (reduces) of_rows.push_back(loop.code.size());
    loop.code.push_back({code, operand(), operand(), operand()});
  }
  // What is the same for all elements is added up by blocks.
  loop.code.push_back({Code::add, in(0), res(loop.code.size() - 1)});
  loop.outputs = {{res(loop.code.size() - 1), DType::f32, Reduce::none, full}};
  if (random() % 2) loop.outputs.push_back({operand(), DType::bf16, Reduce::none, full});
  if (random() % 2) loop.outputs.push_back({res(loop.code.size() - 1), DType::f32, Reduce::sum, column});
  if (!of_rows.empty())
    loop.outputs.push_back({res(of_rows[random() % of_rows.size()]), DType::f32, Reduce::none, row, true});
  return loop;
}

/// Each row over its sum, after so many instructions with that.
Loop normalized(std::int64_t rows, std::int64_t columns, std::vector<Code> once_a_row) {
  Loop loop{.extents = {rows, columns}, .row = 1, .inputs = {{DType::f32, {columns, 1}}}};
  loop.code = {{Code::row_sum, in(0)}};
  for (const Code code : once_a_row) loop.code.push_back({code, res(loop.code.size() - 1)});
  loop.code.push_back({Code::mul, in(0), res(loop.code.size() - 1)});
  loop.outputs = {{res(loop.code.size() - 1), DType::f32, Reduce::none, {columns, 1}}};
  return loop;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(loop_joined, *boost::unit_test::precondition(makes_code))

BOOST_AUTO_TEST_CASE(rows_in_turn_give_the_bits_of_steps_in_turn) {
  Generator random(31);
  int joined = 0, with_rows = 0;
  for (int n = 0; n < 2500; ++n) {
    const Loop loop = random_rows(random);
    const std::optional<LoopPlan> one = plan_of(loop, Joining::none), other = plan_of(loop, Joining::all);
    BOOST_TEST(!one->has_joined());
    joined += other->has_joined();
    with_rows += other->has_joined() && other->joined.end - other->joined.first > int(other->segments.size());
    const LoopCase data(loop, random);
    for (const bool in_place : {false, true}) {
      BOOST_REQUIRE_MESSAGE(same_values(data.run(*one, in_place), data.run(*other, in_place)),
                            "loop " << n << ": " << to_string(loop));
    }
  }
  BOOST_TEST(joined > 300);
  BOOST_TEST(with_rows > 60);
}

BOOST_AUTO_TEST_CASE(all_that_goes_over_elements_is_one_call) {
  const Loop loop = normalized(100, 300, {Code::sqrt, Code::neg});
  const std::optional<LoopPlan> plan = plan_of(loop, Joining::all);
  BOOST_TEST(plan->steps.size() == 4u);
  BOOST_TEST(plan->calls.size() == 1u);
  BOOST_TEST(plan->block_slices > plan_of(loop, Joining::none)->block_slices);
}

// A step that isn't assembled needs all rows' sums before it, and all rows come after it.
BOOST_AUTO_TEST_CASE(what_stands_between_segments_keeps_them_apart) {
  const std::optional<LoopPlan> plan = plan_of(normalized(100, 300, {Code::log}), Joining::all);
  BOOST_TEST(!plan->has_joined());
  BOOST_TEST(plan->calls.size() == 3u);
}

BOOST_AUTO_TEST_CASE(loops_within_caches_do_not_join_nor_do_short_rows_with_functions) {
  const auto joins = [](std::int64_t rows, std::int64_t columns, Code code) {
    Loop loop = normalized(rows, columns, {Code::neg});
    loop.code[0].a = res(0);
    loop.code.insert(loop.code.begin(), {code, in(0)});
    for (std::size_t i = 2; i < loop.code.size(); ++i) {
      for (Operand* o : {&loop.code[i].a, &loop.code[i].b}) {
        if (o->kind == Operand::Kind::result) ++o->index;
      }
    }
    ++loop.outputs[0].value.index;
    return plan_of(loop, Joining::large)->has_joined();
  };
  BOOST_TEST(joins(4096, 256, Code::exp));
  BOOST_TEST(!joins(8192, 128, Code::exp));
  BOOST_TEST(joins(8192, 128, Code::abs));
  BOOST_TEST(!joins(256, 128, Code::abs));
}

BOOST_AUTO_TEST_SUITE_END()
