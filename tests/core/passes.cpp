// Each pass by 'graph 1, run, expect graph 2'. The rules of simplify are tested with the ops that own them.
#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/compile/rewrite.hpp>
#include <tapestry/core/compile/verify.hpp>
#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/softmax.hpp>

#include <boost/test/unit_test.hpp>

using namespace tapestry;

namespace {

/// The graph as text, without the lines where it was recorded.
std::string shape_of(const Graph& graph) {
  std::istringstream lines(to_text(graph));
  std::string out;
  for (std::string line; std::getline(lines, line);) out += line.substr(0, line.find("  #")) + '\n';
  return out;
}

template <class Record>
Graph recorded(Record record) {
  Tape tape;
  const Var x = tape.input("x", {DType::f32, {4}});
  const Var outputs[] = {record(tape, x)};
  return tape.take(outputs);
}

template <class Before, class After>
void expect(Graph (*pass)(const Graph&), Before before, After after) {
  const Graph result = pass(recorded(before));
  verify(result);
  BOOST_TEST(shape_of(result) == shape_of(recorded(after)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(passes)

BOOST_AUTO_TEST_CASE(dead_code_is_not_copied) {
  expect(
      remove_dead_code,
      [](Tape& tape, Var x) {
        exp(log(x));
        tape.input("unused", {DType::f32, {1}});  // arguments stay: they are fed by position
        return x * x;
      },
      [](Tape& tape, Var x) {
        tape.input("unused", {DType::f32, {1}});
        return x * x;
      });
}

BOOST_AUTO_TEST_CASE(expand_leaves_primitives) {
  const Graph g = expand(recorded([](Tape&, Var x) { return softmax(silu(x)); }));
  verify(g);
  for (ValueId id = 0; id < g.size(); ++id) BOOST_TEST(!g.op(id).composed());
}

BOOST_AUTO_TEST_CASE(cse_computes_equal_things_once) {
  expect(
      eliminate_common_subexpressions, [](Tape&, Var x) { return (x + exp(x)) * (exp(x) + x); },
      [](Tape&, Var x) {
        const Var y = exp(x);
        const Var z = x + y;
        return z * z;
      });
}

BOOST_AUTO_TEST_CASE(cse_keeps_what_differs_in_attributes_or_order) {
  const auto keep = [](Tape&, Var x) { return (x - exp(x)) * (exp(x) - x) + x * 2 + x * 3; };
  const Graph g = eliminate_common_subexpressions(recorded(keep));
  int subtractions = 0, constants = 0;
  for (ValueId id = 0; id < g.size(); ++id) {
    subtractions += g.is(id, "sub");
    constants += g.is(id, "constant");
  }
  BOOST_TEST(subtractions == 2);
  BOOST_TEST(constants == 2);
}

BOOST_AUTO_TEST_CASE(constants_are_folded) {
  expect(
      +[](const Graph& g) { return remove_dead_code(fold_constants(g)); },
      [](Tape& tape, Var x) {
        const Var two = tape.constant(2.0, DType::f32);
        return x * (two * two + 1);
      },
      [](Tape& tape, Var x) { return x * tape.constant(5.0, DType::f32); });
}

BOOST_AUTO_TEST_CASE(large_constants_are_not_folded) {
  const auto large = [](Tape& tape, Var x) {
    return x.tape().constant(Tensor(DType::f32, {5000})) + tape.constant(1.0, DType::f32);
  };
  expect(fold_constants, large, large);
}

BOOST_AUTO_TEST_CASE(a_pass_that_changes_a_type_is_caught) {
  const Graph g = recorded([](Tape&, Var x) { return exp(x); });
  const RewriteRule wrong = [](Tape& tape, const Graph&, ValueId, std::span<const Var>) {
    return std::optional(tape.constant(1.0, DType::f64));
  };
  BOOST_CHECK_THROW(rewrite(g, wrong), Error);
}

BOOST_AUTO_TEST_CASE(verify_names_what_is_illegal) {
  const Op& exp_op = registry().at("exp");
  const auto complaint = [](const Graph& g) {
    try {
      verify(g);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("legal");
  };
  Graph g = recorded([](Tape&, Var x) { return exp(x); });
  BOOST_TEST(complaint(g) == "legal");
  g.outputs.push_back(99);
  BOOST_TEST(complaint(g).find("output %99 doesn't exist") != std::string::npos);
  g.outputs.pop_back();
  const ValueId zero[] = {0};
  g.append(exp_op, {DType::f64, {4}}, zero, {}, Location::current());
  BOOST_TEST(complaint(g).find("is f64 [4], the type rule says f32 [4]") != std::string::npos);

  Graph twice = recorded([](Tape&, Var x) { return exp(x); });
  const State s("s", Tensor(DType::f32, {4}));
  twice.updates = {{s, 0}, {s, 1}};
  BOOST_TEST(complaint(twice).find("state s is updated twice") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
