// Ops that move elements against the vectors of tests/oracle/families/shape.py.
#include "../support/oracle.hpp"

#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using oracle::Function;
using oracle::Inputs;
using oracle::Table;

namespace {

Function squared(Function f) {
  return [f](const Inputs& x) { return f(x) * f(x); };
}
Function reshaped(Shape shape) {
  return [=](const Inputs& x) { return reshape(x[0], shape); };
}
Function permuted(Shape order) {
  return [=](const Inputs& x) { return permute(x[0], order); };
}
Function broadcasted(Shape shape) {
  return [=](const Inputs& x) { return broadcast_to(x[0], shape); };
}
Function flipped(std::vector<int> axes) {
  return [=](const Inputs& x) { return flip(x[0], Axes(axes)); };
}
Function sliced(std::vector<Range> ranges) {
  return [=](const Inputs& x) { return slice(x[0], ranges); };
}
Function joined(int axis) {
  return [=](const Inputs& x) { return concat(x.all, axis); };
}
Function stacked(int axis) {
  return [=](const Inputs& x) { return stack(x.all, axis); };
}
Function padded(Shape low, Shape high, double value = 0, Shape interior = {}) {
  return [=](const Inputs& x) { return pad(x[0], low, high, value, interior); };
}
Function mirrored(Shape low, Shape high) {
  return [=](const Inputs& x) { return pad_reflect(x[0], low, high); };
}
Function taken(int axis) {
  return [=](const Inputs& x) { return take(x[0], x[1], axis); };
}
Function added(int axis) {
  return [=](const Inputs& x) { return scatter_add(x[0], x[1], x[2], axis); };
}

void add_rearrangements(Table& t) {
  t.add("reshape/flatten", reshaped({24}));
  t.add("reshape/split", reshaped({2, 3}));
  t.add("reshape/to_scalar", reshaped({}));
  t.add("reshape/from_scalar", reshaped({1, 1}));
  t.add("reshape/empty", reshaped({3, 0, 2}));
  t.add("reshape/second_order", squared(reshaped({3, 2})));
  t.add("reshape/booleans", reshaped({6}));
  t.add("permute/012", permuted({0, 1, 2}));
  t.add("permute/021", permuted({0, 2, 1}));
  t.add("permute/102", permuted({1, 0, 2}));
  t.add("permute/120", permuted({1, 2, 0}));
  t.add("permute/201", permuted({2, 0, 1}));
  t.add("permute/210", permuted({2, 1, 0}));
  t.add("permute/rank4", squared(permuted({0, 3, 1, 2})));
  t.add("permute", {"empty", "integers"}, permuted({1, 0}));
  t.add("permute/scalar", permuted({}));
  t.add("broadcast_to", {"row", "column", "scalar", "same"}, broadcasted({2, 3}));
  t.add("broadcast_to/middle", broadcasted({3, 2, 4, 2}));
  t.add("broadcast_to/empty", broadcasted({0}));
  t.add("broadcast_to/second_order", squared(broadcasted({2, 3})));
  t.add("transpose/batch", squared([](const Inputs& x) { return transpose(x[0]); }));
  t.add("squeeze/all", [](const Inputs& x) { return squeeze(x[0]); });
  t.add("squeeze/last", squared([](const Inputs& x) { return squeeze(x[0], -1); }));
  t.add("expand_dims/both_ends", squared([](const Inputs& x) { return expand_dims(x[0], {0, -1}); }));
  t.add("flip/0", flipped({0}));
  t.add("flip/1", flipped({1}));
  t.add("flip/02", flipped({0, 2}));
  t.add("flip/012", flipped({0, 1, 2}));
  t.add("flip/last", flipped({-1}));
  t.add("flip/second_order", squared(flipped({0})));
}

void add_cuts_and_joins(Table& t) {
  t.add("slice/middle", sliced({{1, 4}}));
  t.add("slice/step2", sliced({{0, 7, 2}}));
  t.add("slice/step3_offset", sliced({{1, 8, 3}}));
  t.add("slice/matrix", sliced({{1, 3}, {0, 5, 2}}));
  t.add("slice/block", sliced({{0, 3, 2}, {1, 4}, {2, 5, 2}}));
  t.add("slice/whole", sliced({}));
  t.add("slice/nothing", sliced({{2, 2}, {}}));
  t.add("slice/uneven_step", sliced({{}, {0, 5, 3}}));
  t.add("slice/negative", sliced({{-3, -1}, {}}));
  t.add("slice/outside", sliced({{2, 99}, {-99, 2}}));
  t.add("slice/crossed", sliced({{3, 1}}));
  t.add("slice/overlapping", [](const Inputs& x) { return slice(x[0], 0, 0, 3) * slice(x[0], 0, 1, 4); });
  t.add("slice/integers", sliced({{1, 4, 2}}));
  t.add("concat", {"axis0", "one", "with_empty", "integers"}, joined(0));
  t.add("concat", {"axis1", "middle"}, joined(1));
  t.add("concat/last", joined(-1));
  t.add("concat/repeated", [](const Inputs& x) { return concat({x[0], x[0], x[0] * x[0]}, 1); });
  t.add("stack", {"axis0", "scalars"}, stacked(0));
  t.add("stack/axis1", stacked(1));
  t.add("stack/axis2", stacked(2));
  t.add("stack/axis-1", stacked(-1));
  t.add("stack/repeated", [](const Inputs& x) { return stack({x[0], x[0] * x[0]}, 0); });
}

void add_padding(Table& t) {
  t.add("pad/vector", padded({2}, {1}));
  t.add("pad/matrix", padded({1, 0}, {0, 2}));
  t.add("pad/value", padded({1, 1}, {1, 1}, -1.5));
  t.add("pad/image", padded({0, 1, 1, 0}, {0, 1, 1, 0}));
  t.add("pad/none", padded({0, 0}, {0, 0}));
  t.add("pad/empty", padded({1, 0}, {1, 1}, 3));
  t.add("pad/second_order", squared(padded({1}, {2}, 0.5)));
  t.add("pad/interior", padded({1}, {0}, -1, {2}));
  t.add("pad/interior_matrix", squared(padded({0, 1}, {1, 0}, 0, {1, 2})));
  t.add("pad_reflect/vector", mirrored({2}, {3}));
  t.add("pad_reflect/matrix", mirrored({1, 2}, {2, 0}));
  t.add("pad_reflect/image", mirrored({0, 1, 2, 0}, {0, 1, 1, 0}));
  t.add("pad_reflect/none", mirrored({0, 0}, {0, 0}));
  t.add("pad_reflect/second_order", squared(mirrored({2}, {1})));
}

void add_indexing(Table& t) {
  t.add("take", {"rows", "grid", "one", "scalar_index", "no_indices", "integers"}, taken(0));
  t.add("take", {"columns", "middle", "grid_columns"}, taken(1));
  t.add("take/last", taken(-1));
  t.add("take/second_order", squared(taken(0)));
  t.add("scatter_add", {"rows", "grid", "no_indices", "one"}, added(0));
  t.add("scatter_add", {"columns", "middle"}, added(1));
  t.add("scatter_add/second_order", squared(added(0)));
  t.add("one_hot/vector", [](const Inputs& x) { return one_hot(x[0], 4, x.dtype); });
  t.add("one_hot", {"matrix", "empty", "scalar"}, [](const Inputs& x) { return one_hot(x[0], 3, x.dtype); });
  t.add("one_hot/outside", [](const Inputs& x) { return one_hot(x[0], 3, x.dtype); });
  t.add("one_hot/one_class", [](const Inputs& x) { return one_hot(x[0], 1, x.dtype); });
  t.add("iota/floats", [](const Inputs& x) { return iota(x.tape, x.dtype, {5}); });
  t.add("iota/integers", [](const Inputs& x) { return iota(x.tape, DType::i64, {4}); });
  t.add("iota/empty", [](const Inputs& x) { return iota(x.tape, DType::i64, {0}); });
  t.add("iota/rows", [](const Inputs& x) { return iota(x.tape, DType::i64, {2, 3}); });
  t.add("iota/columns", [](const Inputs& x) { return iota(x.tape, DType::i64, {2, 3}, 1); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(oracle_shape)

BOOST_AUTO_TEST_CASE(values_and_derivatives) {
  Table t;
  add_rearrangements(t);
  add_cuts_and_joins(t);
  add_padding(t);
  add_indexing(t);
  t.check("shape");
}

BOOST_AUTO_TEST_SUITE_END()
