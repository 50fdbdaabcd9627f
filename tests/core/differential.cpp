#include <tapestry/core/registry.hpp>
#include <tapestry/tests/support/differential.hpp>

#include <cstdlib>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
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
  if (count < 1000) return;
  // The bounds say something, and every op there is takes part.
  BOOST_TEST(double(coverage.checked) > 0.9 * double(coverage.elements));
  for (const Op* op : registry().all()) {
    BOOST_TEST(coverage.ops[op->name] >= 3, op->name << " is in " << coverage.ops[op->name] << " graphs");
    BOOST_TEST_MESSAGE(op->name << ' ' << coverage.ops[op->name]);
  }
}

BOOST_AUTO_TEST_SUITE_END()
