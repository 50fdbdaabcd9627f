#include "../support/assembled.hpp"

#include <algorithm>
#include <bit>

using namespace tapestry;
using namespace tapestry::kernels;

BOOST_AUTO_TEST_SUITE(loop_assembled)

BOOST_AUTO_TEST_CASE(an_instruction_gives_the_bits_of_its_sweep,
                     *boost::unit_test::precondition(makes_code)) {
  for (int c = 0; c < int(Code::index); ++c) {
    const auto code = Code(c);
    if (!can_assemble(code)) continue;
    for (const std::size_t size : {1, 15, 16, 17, 100, 5000}) {
      const std::vector<std::vector<float>> inputs{numbers(size, 1), numbers(size, 2), numbers(size, 3)};
      const Loop loop = pointwise(std::int64_t(size), 3, {{code, in(0), in(1), in(2)}});
      BOOST_REQUIRE_EQUAL(segments_of(loop), 1);
      std::vector<float> expected(size);
      const Source sources[] = {{inputs[0].data(), 1}, {inputs[1].data(), 1}, {inputs[2].data(), 1}};
      find_sweep(Lane::f32, code)(sources, expected.data(), std::int64_t(size));
      BOOST_TEST(same_bits(run(loop, inputs, size), expected), name_of(code) << " of " << size);
    }
  }
}

// With constants for every register, and values that are all needed at the end.
BOOST_AUTO_TEST_CASE(more_constants_and_values_than_registers, *boost::unit_test::precondition(makes_code)) {
  for (const int values : {5, 20, 40}) {
    std::vector<Instruction> code;
    for (int i = 0; i < values; ++i) code.push_back({Code::mul, in(0), Operand::constant(1.5 + i)});
    code.push_back({Code::add, res(0), in(1)});
    for (int i = 1; i < values; ++i) code.push_back({Code::sub, res(code.size() - 1), res(std::size_t(i))});
    const Loop loop = pointwise(77, 2, code);
    BOOST_TEST(segments_of(loop) == (values < 30 ? 1 : 0));  // too many to keep: interpreted
    const std::vector<std::vector<float>> inputs{numbers(77, 4), numbers(77, 5)};
    std::vector<float> expected(77);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] = inputs[0][i] * 1.5f + inputs[1][i];
      for (int k = 1; k < values; ++k) expected[i] = expected[i] - inputs[0][i] * (1.5f + float(k));
    }
    BOOST_TEST(same_bits(run(loop, inputs, 77), expected), values << " values");
  }
}

// Conditions stay masks if they are nothing else, as far as there are masks; booleans and a number for each
// row are read, and booleans written, as they lie in tensors.
BOOST_AUTO_TEST_CASE(conditions_are_masks_and_booleans_are_read_and_written_on_the_way,
                     *boost::unit_test::precondition(makes_code)) {
  for (const std::int64_t columns : {64, 77, 512}) {
    const std::int64_t rows = 41;
    const Shape full{columns, 1};
    Loop loop{.extents = {rows, columns},
              .inputs = {{DType::f32, full},
                         {DType::boolean, full},
                         {DType::f32, {1, 0}},
                         {DType::boolean, {0, 1}},
                         {DType::boolean, full}},
              .code = {{Code::select, in(0), in(2), in(1)},
                       {Code::select, res(0), Operand::constant(0.25), in(3)},
                       {Code::mul, res(1), in(4)},  // a number, too
                       {Code::select, in(2), res(2), in(4)}}};
    const std::size_t first = loop.code.size();
    for (const Code code : {Code::eq, Code::ne, Code::lt, Code::le, Code::gt, Code::ge, Code::lt, Code::eq}) {
      loop.code.push_back({code, in(0), Operand::constant(double(loop.code.size() % 3))});
    }
    for (std::size_t i = first; i < first + 8; ++i) {
      loop.code.push_back({Code::select, res(loop.code.size() - 1), in(2), res(i)});
    }
    loop.code[first + 8].a = res(3);
    const Operand last = res(loop.code.size() - 1);
    loop.outputs = {{last, DType::f32, Reduce::none, full},
                    {res(first + 2), DType::boolean, Reduce::none, full},
                    {in(0), DType::boolean, Reduce::none, full},
                    {res(3), DType::boolean, Reduce::none, full}};
    const std::optional<LoopPlan> plan = make_plan(loop);
    BOOST_TEST(plan->segments.size() == 1);
    BOOST_TEST(std::ranges::none_of(plan->leaves, [](const Leaf& l) { return l.kind == Leaf::Kind::tile; }));
    BOOST_TEST(std::ranges::count(plan->fulls, true, &FullOutput::direct) == 3);
    Generator random(15);
    const LoopCase one(loop, random);
    BOOST_TEST(difference(one, one.run()) == "", columns << " columns");
    BOOST_TEST(difference(one, one.run(true)) == "", columns << " columns, in place");
  }
}

// A program's segments are shared with later ones, but not kept for ever.
BOOST_AUTO_TEST_CASE(segments_that_nobody_has_are_forgotten, *boost::unit_test::precondition(makes_code)) {
  for (int i = 0; i < 500; ++i) {
    std::vector<Instruction> code{{Code::add, in(0), Operand::constant(1)}};
    for (int bit = 1; bit < 512; bit *= 2) {
      code.push_back({(i & bit) != 0 ? Code::mul : Code::sub, res(code.size() - 1), in(0)});
    }
    static_cast<void>(CompiledLoop(pointwise(100, 1, code)));
  }
  BOOST_TEST(remembered_segments() <= 100);
}

BOOST_AUTO_TEST_SUITE_END()
