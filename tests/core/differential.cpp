// Random programs through the whole pipeline, against a reference that shares none of it but the recording.
// TAPESTRY_GRAPHS and TAPESTRY_GRAPH_SEED set how many and which; tools/random_graphs.sh runs many.
//
// That it notices was tried by breaking, one at a time (with how many of the first 1,000 graphs noticed, five
// ending the run, and how large the shrunken program was):
//   fuse.cpp      values taken from registers though read through a view too (5, 1 op), though reduced (5, 1
//                 op), though rounded when stored (2, 4 ops); a node placed with the maker of its operand (5,
//                 1)
//                 (rows) values handed over that aren't at hand at that element (4 in 600, 5 ops), loops
//                 joined that disagree on where rows start (5, 15 ops), row results used before they are
//                 whole (1 in 600, 5 ops)
//   schedule.cpp  reduced values that the same group reads, not stored (5, 6 ops)
//   plan.cpp      a view's use forgotten (5), memory of operands that live on taken over (5), State written
//                 while its old value is needed (5, 6 ops), swapped State staged in one place (5, 3 ops)
//   loop_plan.cpp dimensions merged that aren't contiguous (1, 1 op)
//   loop_run.cpp  partial sums of the second chunk dropped (3), outputs stored before inputs are read (5, 6
//                 ops), groups of reduced and kept axes stepped wrongly (memory is overwritten)
//   loop_reduce.cpp  the last element of a row left out (5, 1 op)
//   algebra.cpp   -(a - b) made a - b (5, 3 ops)
//   conv_amx_forward.cpp  the last column of images left out (5, 5 ops)
//   conv_amx_filters.cpp  the last result under a tap left out (5, 7 ops)
//   conv_amx_steps.hpp  rows of sources packed from one too late on (5, 7 ops)
//   conv_amx.cpp  the last image of a block left out (5, 6 ops), rows of windows as pixels, but from the
//                 wrong column on (5, 5 ops)
//   gemm_amx.cpp  the last of an odd number of terms doubled (5, 5 ops), sums not kept from one block of
//                 terms to the next (3, 4 ops), the last slice of terms left out (3, 5 ops)
//   conv.cpp      1e-5 added to an element of what Winograd's minimal filtering made (4 in 300, 1 op)
// Only the check of the plan noticed, as the values happened to be right: a reduction written over what it
// reads (5, 1 op), a result over an operand that is read in another order (5, 1 op), State written before
// first_commit (5, 5 ops).
#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/tests/support/differential.hpp>
#include <tapestry/tests/support/use_winograd.hpp>

#include <cmath>
#include <cstdlib>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

/// Outputs and new State of a step.
std::vector<Tensor> results(const Recorded& recorded, const std::vector<std::string>& without) {
  const UseWinograd use(kernels::Winograd::wherever_possible);
  recorded.reset();
  Program program(recorded.graph, {.without = without, .epilogue_bytes = 0});
  program.run(recorded.arguments);
  std::vector<Tensor> all = program.outputs();
  for (const Update& update : recorded.graph.updates) all.push_back(update.state.value());
  return all;
}

/// NaNs may have other signs.
bool same_bits(const Tensor& a, const Tensor& b) {
  if (identical(a, b)) return true;
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    if (a.at(i) != b.at(i) && !(std::isnan(a.at(i)) && std::isnan(b.at(i)))) return false;
  }
  return a.type() == b.type();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(differential)

BOOST_AUTO_TEST_CASE(random_graphs_agree_with_the_reference) {
  const std::uint64_t first = setting("TAPESTRY_GRAPH_SEED", 1), count = setting("TAPESTRY_GRAPHS", 1000);
  Coverage coverage;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Recipe recipe = random_recipe(seed);
    if (const auto failure = difference(recipe, &coverage)) {
      const Shrunk shrunk = shrink(recipe, *failure);
      BOOST_ERROR("graph " << seed << ": " << failure->what << "\n" << report(shrunk.recipe, shrunk.failure));
      if (++failures == 5) break;  // enough to go on with
    }
  }
  BOOST_TEST_MESSAGE(coverage.checked << " of " << coverage.elements << " elements closely bounded, "
                                      << coverage.nodes << " nodes");
  if (count < 1000 || first != 1) return;  // others cover less now and then: 83 % of elements
  BOOST_TEST(coverage.views >= 1000, coverage.views << " slices were views");
  BOOST_TEST(coverage.epilogues >= 200, coverage.epilogues << " results of kernels were made in parts");
  // The bounds say something, and every op there is takes part.
  BOOST_TEST(double(coverage.checked) > 0.9 * double(coverage.elements));
  for (const Op* op : registry().all()) {
    BOOST_TEST(coverage.ops[op->name] >= 3, op->name << " is in " << coverage.ops[op->name] << " graphs");
    BOOST_TEST_MESSAGE(op->name << ' ' << coverage.ops[op->name]);
  }
}

// Which those are, and besides which others: docs/architecture.md.
BOOST_AUTO_TEST_CASE(passes_that_do_not_change_arithmetic_keep_all_bits) {
  const std::uint64_t first = setting("TAPESTRY_GRAPH_SEED", 1),
                      count = setting("TAPESTRY_GRAPHS", 1000) / 10;
  const std::vector<std::string> keepers = {"fold_constants", "cse", "in_place", "views", "epilogues"};
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Recorded recorded = record(random_recipe(seed), seed % 2 ? DType::f32 : DType::f64);
    const auto check = [&](std::vector<std::string> always, const std::vector<unsigned>& subsets) {
      const std::vector<Tensor> expected = results(recorded, always);
      for (const unsigned mask : subsets) {
        std::vector<std::string> without = always;
        for (unsigned i = 0; i < keepers.size(); ++i) {
          if (mask >> i & 1) without.push_back(keepers[i]);
        }
        const std::vector<Tensor> found = results(recorded, without);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          BOOST_TEST(same_bits(found[i], expected[i]), "graph " << seed << ", result " << i << ", without "
                                                                << without.size() << " passes, subset "
                                                                << mask);
        }
      }
    };
    check({"fuse", "simplify"}, {1, 2, 3, 4, 5, 6, 7, 8, 16, 31});
    for (const auto& always : {std::vector<std::string>(), {"fuse"}, {"simplify"}})
      check(always, {4, 8, 16, 28});  // in_place, views, epilogues, all three
  }
}

BOOST_AUTO_TEST_SUITE_END()
