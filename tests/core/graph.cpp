#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/function.hpp>
#include <tapestry/core/graph_bgl.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/core/tape.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/slice.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <boost/graph/graph_concepts.hpp>
#include <boost/graph/topological_sort.hpp>
#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::thrown;

BOOST_CONCEPT_ASSERT((boost::VertexListGraphConcept<Graph>));
BOOST_CONCEPT_ASSERT((boost::BidirectionalGraphConcept<Graph>));
BOOST_CONCEPT_ASSERT((boost::EdgeListGraphConcept<Graph>));

BOOST_AUTO_TEST_SUITE(graph)

BOOST_AUTO_TEST_CASE(edges_run_from_operand_to_user) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2}});
  const Var y = x * x;
  const Var z = y + x;
  const Graph& g = tape.graph();
  BOOST_TEST(num_vertices(g) == 3u);
  BOOST_TEST(num_edges(g) == 4u);
  BOOST_TEST(in_degree(y.id(), g) == 2u);
  BOOST_TEST(out_degree(x.id(), g) == 3u);
  BOOST_TEST(out_degree(z.id(), g) == 0u);
  std::vector<ValueId> users;
  for (auto [e, end] = out_edges(x.id(), g); e != end; ++e) users.push_back(target(*e, g));
  std::ranges::sort(users);
  BOOST_TEST(users == (std::vector<ValueId>{y.id(), y.id(), z.id()}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(bgl_sorts_it) {
  Tape tape;
  Var x = tape.input("x", {DType::f32, {2}});
  for (int i = 0; i < 10; ++i) x = exp(x) + x;
  const Graph& g = tape.graph();
  std::vector<ValueId> reverse;
  boost::topological_sort(g, std::back_inserter(reverse),
                          boost::vertex_index_map(boost::identity_property_map()));
  std::vector<std::size_t> place(g.size());
  for (std::size_t i = 0; i < reverse.size(); ++i) place[reverse[i]] = reverse.size() - i;
  for (EdgeId e = 0; e < num_edges(g); ++e) BOOST_TEST(place[source(e, g)] < place[target(e, g)]);
}

BOOST_AUTO_TEST_CASE(ancestors_are_what_a_result_needs) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2}});
  const Var unused = exp(x);
  const Var y = x * x;
  const ValueId roots[] = {y.id()};
  BOOST_TEST(ancestors(tape.graph(), roots) == (std::vector<ValueId>{x.id(), y.id()}),
             boost::test_tools::per_element());
  BOOST_TEST(unused.id() == 1u);
}

BOOST_AUTO_TEST_CASE(printed) {
  Tape tape;
  const State w("fc/weight", Tensor::full<float>({2}, 1));
  const Var x = tape.input("x", {DType::f32, {3, 2}});
  const int line = __LINE__ + 1;
  const Var y = x + w;
  tape.write(w, tape.read(w) * 2);
  const std::string dot = to_graphviz([&] {
    Graph g = tape.graph();
    g.outputs.push_back(y.id());
    return g;
  }());
  BOOST_TEST(dot.find("digraph") == 0u);
  BOOST_TEST(dot.find("fc/weight") != std::string::npos);
  const std::string listing = to_text(tape.graph());
  BOOST_TEST(listing.find(text("= add(%0, %1) : f32 [3, 2]  # graph.cpp:", line)) != std::string::npos);
  BOOST_TEST(listing.find("fc/weight <- %") != std::string::npos);
  const std::string without_lines = to_text(tape.graph(), Origins::layers);
  BOOST_TEST(without_lines.find("= add(%0, %1) : f32 [3, 2]\n") != std::string::npos);
  BOOST_TEST(without_lines.find("graph.cpp") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(scopes_name_layers_and_keep_the_users_line) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2}});
  const int line = __LINE__ + 1;
  const auto layer = [](const Operand& v) {
    const Scope outer(v, "block");
    const Scope inner(v, "fc1");
    return exp(v.var());
  };
  const Var y = layer(x);
  BOOST_TEST(label(tape.graph(), y.id()) == "block/fc1/exp");
  BOOST_TEST(to_string(tape.graph().node(y.id()).at) == text("graph.cpp:", line + 5));
}

BOOST_AUTO_TEST_CASE(values_of_two_tapes_do_not_mix) {
  Tape one, two;
  const Var x = one.input("x", {DType::f32, {2}}), y = two.input("y", {DType::f32, {2}});
  BOOST_CHECK_THROW(x + y, Error);
  BOOST_CHECK_THROW(Operand(1.0) + Operand(2.0), Error);
}

BOOST_AUTO_TEST_CASE(a_variable_of_an_earlier_recording_is_refused) {
  const std::uint_least32_t line = std::source_location::current().line();
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {2}}), y = tape.input("y", {DType::f32, {2}});
  tape.take();
  const Var z = tape.input("z", {DType::f32, {2}});
  const auto refused = [&](std::uint_least32_t at) {
    return text("graph.cpp:", line + at, ": a variable was used after the tape that it was recorded on");
  };
  BOOST_TEST(thrown([&] { x + z; }) == refused(8));
  BOOST_TEST(thrown([&] { z + y; }) == refused(9));
  BOOST_TEST(thrown([&] { exp(y); }) == refused(10));
  BOOST_CHECK_THROW(x.type(), Error);
  BOOST_CHECK_THROW(gradient(z, x), Error);
  BOOST_TEST(!same(x, z));

  // The tape of the first call is gone, and the second's lies in its place.
  std::optional<Var> kept;
  Function first = [&](Var a) { return *(kept = a) * 2; };
  Function second = [&](Var a, Var b) { return a - *kept + b; };
  const Tensor one = Tensor::scalar(1.0);
  first(one);
  BOOST_CHECK_THROW(second(one, one), Error);
}

BOOST_AUTO_TEST_CASE(shapes_that_cannot_be_name_the_line) {
  const std::uint_least32_t line = std::source_location::current().line();
  Tape tape;
  BOOST_TEST(thrown([&] {
               tape.input("x", {DType::f32, {2, -1}});
             }) == text("graph.cpp:", line + 2, ": input x: there is no shape [2, -1]"));
  const Var x = tape.input("x", {DType::f32, {1}});
  BOOST_TEST(thrown([&] { broadcast_to(x, {std::int64_t{1} << 61}); }) ==
             text("graph.cpp:", line + 6,
                  ": broadcast_to: a shape of [2305843009213693952] has more than 2^48 "
                  "elements: x [1] (graph.cpp:",
                  line + 5, ')'));
  BOOST_TEST(thrown([&] { iota(tape, DType::f32, {-2}); }) ==
             text("graph.cpp:", line + 11, ": iota: there is no shape [-2]"));
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  BOOST_TEST(thrown([&] { pad(x, {most}, {0}); }).find("is more than 2^48") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_registry_refuses_what_is_incomplete) {
  Registry r;
  const Op add = registry().at("add");
  r.add(registry().at("add"));
  BOOST_CHECK_THROW(r.add(registry().at("add")), Error);
  Op untyped = add;
  untyped.name = "untyped";
  untyped.type = nullptr;
  BOOST_CHECK_THROW(r.add(untyped), Error);
  Op silent = add;
  silent.name = "silent";
  silent.vjp = {};
  BOOST_CHECK_THROW(r.add(silent), Error);
  BOOST_CHECK_THROW(r.at("nothing"), Error);
}

BOOST_AUTO_TEST_SUITE_END()
