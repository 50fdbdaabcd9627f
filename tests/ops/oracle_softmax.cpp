// softmax and log_softmax against the vectors of tests/oracle/families/softmax.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/softmax.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

BOOST_AUTO_TEST_SUITE(oracle_softmax)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  for (const auto& [name, op] :
       {std::pair{std::string_view("softmax"), &softmax}, {"log_softmax", &log_softmax}}) {
    const auto along = [op](int axis) -> Function { return [=](const Inputs& x) { return op(x[0], axis); }; };
    t.add(name, {"axis0", "vector", "huge_columns"}, along(0));
    t.add(name, {"axis1", "size_one", "batch_of_one", "empty", "ties", "huge", "nan", "masked"}, along(1));
    t.add(name, {"axis2"}, along(2));
    t.add(name, {"axis-1"}, along(-1));
  }
  t.add("softmax/repeated", [](const Inputs& x) { return softmax(x[0], 1) * x[0]; });
  t.check("softmax");
}

BOOST_AUTO_TEST_SUITE_END()
