// matmul and linear against the vectors of tests/oracle/families/matmul.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

Function product(bool transpose_a = false, bool transpose_b = false) {
  return [=](const Inputs& x) { return matmul(x[0], x[1], {transpose_a, transpose_b}); };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_matmul)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  for (const std::string_view shape :
       {"plain", "batch", "batch_left", "batch_right", "batch_both", "batch_of_one"}) {
    t.add(text("matmul/", shape, "_nn"), product());
    t.add(text("matmul/", shape, "_tn"), product(true, false));
    t.add(text("matmul/", shape, "_nt"), product(false, true));
    t.add(text("matmul/", shape, "_tt"), product(true, true));
  }
  t.add("matmul",
        {"dot", "outer", "one", "row", "column", "no_rows", "no_columns", "no_inner", "no_batch", "odd",
         "vector_vector", "vector_matrix", "matrix_vector", "vector_batch", "batch_vector"},
        product());
  t.add("matmul/repeated", [](const Inputs& x) { return matmul(x[0], x[0]); });
  t.add("matmul/gram_nt", [](const Inputs& x) { return matmul(x[0], x[0], {.transpose_b = true}); });
  t.add("matmul/gram_tn", [](const Inputs& x) { return matmul(x[0], x[0], {.transpose_a = true}); });
  t.add("matmul/chain", [](const Inputs& x) { return matmul(matmul(x[0], x[1]), x[2]); });
  t.add("linear", {"matrix", "batch_of_one", "sequence", "empty", "one_feature"},
        [](const Inputs& x) { return linear(x[0], x[1], x[2]); });
  t.add("linear/without_bias", [](const Inputs& x) { return matmul(x[0], x[1]); });
  t.check("matmul");
}

BOOST_AUTO_TEST_SUITE_END()
