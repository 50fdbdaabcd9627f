// Losses against the vectors of tests/oracle/families/loss.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/loss.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

Function cross_entropy(CrossEntropyOptions options) {
  return [=](const Inputs& x) { return softmax_cross_entropy(x[0], x[1], options); };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_loss)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  t.add("softmax_cross_entropy",
        {"plain", "batch_of_one", "one_class", "two_classes", "ties", "huge_right", "huge_wrong"},
        cross_entropy({}));
  t.add("softmax_cross_entropy", {"smoothing_0.1", "smoothing_huge"},
        cross_entropy({.label_smoothing = 0.1}));
  t.add("softmax_cross_entropy", {"smoothing_0.5"}, cross_entropy({.label_smoothing = 0.5}));
  t.add("softmax_cross_entropy", {"smoothing_1.0"}, cross_entropy({.label_smoothing = 1.0}));
  t.add("softmax_cross_entropy", {"ignore_some", "ignore_all_but_one", "ignore_none"},
        cross_entropy({.ignore_index = -1}));
  t.add("softmax_cross_entropy", {"ignore_a_class"}, cross_entropy({.ignore_index = 2}));
  t.add("softmax_cross_entropy", {"ignore_smoothing"},
        cross_entropy({.label_smoothing = 0.2, .ignore_index = -1}));
  t.add("mean_squared_error", {"matrix", "vector", "scalar", "block"},
        [](const Inputs& x) { return mean_squared_error(x[0], x[1]); });
  t.add("mean_squared_error", {"same"}, [](const Inputs& x) { return mean_squared_error(x[0], x[0]); });
  t.add("multiclass_hinge", {"plain", "batch_of_one", "one_class", "no_loss", "at_the_kink", "huge"},
        [](const Inputs& x) { return multiclass_hinge(x[0], x[1]); });
  t.add("multiclass_hinge", {"margin_0.5"},
        [](const Inputs& x) { return multiclass_hinge(x[0], x[1], 0.5); });
  t.add("accuracy", {"some", "ties"}, [](const Inputs& x) { return accuracy(x[0], x[1]); });
  t.add("l2_penalty", {"matrix", "vector", "zero"}, [](const Inputs& x) { return l2_penalty(x[0], 3.14); });
  t.check("loss");
}

BOOST_AUTO_TEST_SUITE_END()
