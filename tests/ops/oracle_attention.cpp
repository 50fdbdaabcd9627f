// Attention and images of another size against the vectors of tests/oracle/families/attention.py and
// resize.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/attention.hpp>
#include <tapestry/ops/resize.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Inputs;
using oracle::Table;

BOOST_AUTO_TEST_SUITE(oracle_attention)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  const auto attend = [](const AttentionOptions& options) {
    return [=](const Inputs& x) { return attention(x[0], x[1], x[2], options); };
  };
  Table t;
  t.add("attention", {"heads", "more_keys"}, attend({}));
  t.add("attention", {"causal", "causal_more_keys", "causal_more_queries"}, attend({.causal = true}));
  t.add("attention/scale", attend({.scale = 0.3}));
  t.add("masked_attention", {"heads", "a_row_of_nothing"},
        [](const Inputs& x) { return masked_attention(x[0], x[1], x[2], x[3]); });
  t.check("attention");
}

BOOST_AUTO_TEST_CASE(resized_images) {
  struct Size {
    std::string name;
    Extent2d size;
  };
  Table t;
  for (const auto& [mode, how] :
       {std::pair("nearest", Interpolation::nearest), {"bilinear", Interpolation::bilinear}}) {
    for (const Size& s : std::initializer_list<Size>{{"twice", {6, 4}},
                                                     {"larger", {5, 7}},
                                                     {"smaller", {3, 4}},
                                                     {"one_way", {4, 5}},
                                                     {"one_pixel", {3, 2}},
                                                     {"to_one_pixel", 1}}) {
      t.add(text("resize2d/", mode, '_', s.name),
            [size = s.size, how = how](const Inputs& x) { return resize2d(x[0], size, how); });
    }
  }
  t.check("resize");
}

BOOST_AUTO_TEST_SUITE_END()
