#include <tapestry/models/report/memory_chart.hpp>
#include <tapestry/tests/support/xml_check.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

BOOST_AUTO_TEST_SUITE(svg_memory)

BOOST_AUTO_TEST_CASE(a_rectangle_a_value_and_the_peak) {
  MemoryChart chart{.title = "A <step>", .tasks = 4, .peak = 192};
  chart.blocks = {{"a & b", 0, 128, 0, 2}, {"scratch", 128, 64, 1, 1, true}, {"c", 0, 64, 3, 4}};
  const std::string svg = draw(chart).markup;
  BOOST_TEST(xml_problem(svg) == "");
  BOOST_TEST(occurrences(svg, "<rect") == 3);
  BOOST_TEST(occurrences(svg, "peak: 192 bytes") == 1);
  BOOST_TEST(occurrences(svg, "a &amp; b: 128 bytes at 0, tasks 0 to 2") == 1);
}

BOOST_AUTO_TEST_CASE(an_empty_arena_is_a_picture_too) {
  const std::string svg = draw(MemoryChart{.title = "empty"}).markup;
  BOOST_TEST(xml_problem(svg) == "");
  BOOST_TEST(occurrences(svg, "<rect") == 0);
}

BOOST_AUTO_TEST_SUITE_END()
