#include <tapestry/core/compile/memory_map.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>

#include <algorithm>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

Program small_program(bool in_place) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {40, 40}});
  const Var a = matmul(x, x), b = matmul(exp(a), a);
  CompileOptions options;
  if (!in_place) options.without.push_back("in_place");
  return compile(tape, std::vector<Var>{sum(matmul(b + a, b))}, options);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory_map)

BOOST_AUTO_TEST_CASE(the_highest_block_ends_at_the_peak) {
  for (const bool in_place : {true, false}) {
    const Program program = small_program(in_place);
    const std::vector<MemoryBlock> blocks = memory_blocks(program.graph(), program.plan());
    std::size_t top = 0;
    for (const MemoryBlock& block : blocks) {
      BOOST_TEST(block.first <= block.last);
      BOOST_TEST(!block.label.empty());
      top = std::max(top, block.offset + block.bytes);
    }
    BOOST_TEST((top + 63) / 64 * 64 == program.summary().arena_bytes);
    BOOST_TEST(std::ranges::is_sorted(blocks, {}, &MemoryBlock::first));
  }
}

BOOST_AUTO_TEST_CASE(blocks_alive_together_do_not_overlap) {
  const Program program = small_program(false);
  const std::vector<MemoryBlock> blocks = memory_blocks(program.graph(), program.plan());
  BOOST_TEST(blocks.size() >= 4);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      const MemoryBlock &a = blocks[i], &b = blocks[k];
      const bool together = a.first <= b.last && b.first <= a.last;
      const bool overlap = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
      BOOST_TEST(!(together && overlap), a.label << " and " << b.label);
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_in_the_arena_is_no_block) {
  Tape tape;
  const Program program = compile(tape.input("x", {DType::f32, {3}}) + 1);
  BOOST_TEST(memory_blocks(program.graph(), program.plan()).empty());
}

BOOST_AUTO_TEST_SUITE_END()
