// No op without its tests: walks the registry and names what an op lacks in cases, edges, references or
// rules.
#include "../support/op_cases.hpp"
#include "../support/oracle.hpp"

#include <tapestry/core/registry.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/program.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <boost/test/tree/traverse.hpp>
#include <boost/test/tree/visitor.hpp>
#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::OpCase;

namespace {

/// Ops whose values can't be a case's: where they are tested against a reference.
const std::map<std::string_view, std::string_view> kReferenceTests{
    {"random_uniform", "random/elements_are_words_of_philox"}, {"random_permutation", "random/permutations"}};

/// Visits all tests of this program, also those that this run leaves out.
class Tests final : public boost::unit_test::test_tree_visitor {
 public:
  Tests() {
    boost::unit_test::traverse_test_tree(boost::unit_test::framework::master_test_suite(), *this, true);
  }
  std::set<std::string> names;
  std::vector<const boost::unit_test::test_case*> oracles;

 private:
  void visit(const boost::unit_test::test_case& t) override {
    const std::string name = t.full_name();
    names.insert(name);
    if (name.starts_with("oracle_") && !name.starts_with("oracle_itself/")) oracles.push_back(&t);
  }
};

/// Ops that agree with PyTorch in some case of the oracle's tables, which are run for that.
const std::set<std::string>& in_the_oracle() {
  static const std::set<std::string> ops = [] {
    for (const auto* t : Tests().oracles) t->p_test_func.get()();
    return oracle::agreeing_ops();
  }();
  return ops;
}

bool has_reference(const Op& op) {
  const auto cases = test::cases_of(op.name);
  if (std::ranges::any_of(cases, [](const OpCase* c) { return c->reference != nullptr; })) return true;
  const auto named = kReferenceTests.find(op.name);
  if (named != kReferenceTests.end()) return Tests().names.contains(std::string(named->second));
  return in_the_oracle().contains(std::string(op.name));
}

std::set<std::string> covered(std::string_view op) {
  std::set<std::string> all;
  for (const OpCase* c : test::cases_of(op)) all.merge(test::coverage(*c));
  return all;
}

/// What the cases of an op have to cover, by what kind of op it is.
std::set<std::string> required(const Op& op, const std::set<std::string>& covered) {
  std::set<std::string> all{"size 1", "empty"};
  if (op.pointwise) all.insert("scalar");
  if (op.pointwise && op.arity >= 2) {
    all.insert({"both", "equal shapes", "repeated operand"});
    for (int i = 0; i < op.arity; ++i) {
      for (const char* direction : {"row ", "column ", "scalar "}) all.insert(text(direction, i));
    }
  }
  if (test::floating_operands(op.name).size() >= 2) all.insert("repeated operand");
  if (covered.contains("has axes")) all.insert({"first axis", "last axis"});
  if (covered.contains("takes several axes")) all.insert("several axes");
  if (test::differentiated(op.name)) all.insert("square");  // where a wrong axis doesn't show in the shape
  return all;
}

/// What is missing, a sentence each.
std::vector<std::string> gaps(const Op& op) {
  std::vector<std::string> found;
  const auto lacks = [&](const auto&... parts) { found.push_back(text(op.name, ": ", parts...)); };
  const auto cases = test::cases_of(op.name);
  if (cases.empty()) {
    lacks("no cases");
    return found;
  }
  for (const OpCase* c : cases) {
    if (!test::coverage(*c).contains("uses the op")) lacks("case ", c->name, " doesn't use it");
  }
  const std::set<std::string> has = covered(op.name);
  for (const std::string& tag : required(op, has)) {
    if (!has.contains(tag)) lacks("no case covers: ", tag);
  }
  if (!has_reference(op)) lacks("no reference for its value");
  if (!test::differentiated(op.name)) {
    if (op.no_gradient.empty()) lacks("neither a derivative nor a reason for having none");
    return found;
  }
  const auto is_edge = [&](const test::OpEdge& e) { return e.op == op.name; };
  if (std::ranges::none_of(test::op_table().edges, is_edge)) lacks("no gradient stated at edges");
  const bool by_rules =
      !op.vjp_each && std::ranges::any_of(op.vjp, [](auto rule) { return rule != nullptr; });
  for (const int i : test::floating_operands(op.name)) {
    if (by_rules && op.no_gradient.empty() && !op.vjp[std::size_t(i)]) lacks("no rule for operand ", i);
  }
  return found;
}

double difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  double worst = 0;
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.at(i), y = b.at(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double error = std::abs(x - y) / std::max(1.0, std::abs(y));
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

Type fake_type(const Signature& s) { return s.x[0]; }

}  // namespace

BOOST_AUTO_TEST_SUITE(completeness)

BOOST_AUTO_TEST_CASE(no_op_lacks_anything) {
  BOOST_TEST(registry().all().size() > 70);
  for (const Op* op : registry().all()) {
    for (const std::string& gap : gaps(*op)) BOOST_ERROR(gap);
  }
}

BOOST_AUTO_TEST_CASE(cases_and_edges_are_of_ops_that_exist) {
  std::set<std::string> labels;
  for (const OpCase& c : test::op_table().cases) {
    BOOST_TEST(registry().find(c.op), c.op);
    BOOST_TEST(labels.insert(c.label()).second, "two cases are named " << c.label());
  }
  for (const test::OpEdge& e : test::op_table().edges) BOOST_TEST(registry().find(e.op), e.op);
  for (const auto& [op, test] : kReferenceTests) BOOST_TEST(registry().find(op), op);
}

/// Values against the cases' own references, interpreted and compiled.
BOOST_AUTO_TEST_CASE(references_agree) {
  int compared = 0;
  for (const OpCase& c : test::op_table().cases) {
    if (!c.reference) continue;
    Tape tape;
    std::vector<Var> x;
    for (const Tensor& input : c.inputs) x.push_back(tape.input("x", input.type()));
    const Var y = c.f(x);
    Program program = compile(y);
    program.run(c.inputs);
    const Tensor expected = c.reference(c.inputs);
    // f32 results, accuracy's, have f32's digits.
    const double bound = y.dtype() == DType::f32 ? 1e-7 : 1e-14;
    BOOST_TEST(difference(program.output(), expected) <= bound,
               c.label() << ": " << to_string(program.output()) << " instead of " << to_string(expected));
    BOOST_TEST(difference(interpret(tape.take({&y, 1}), c.inputs).front(), expected) <= bound,
               c.label() << ", interpreted");
    ++compared;
  }
  BOOST_TEST(compared > 100);
}

/// The test itself: an op that came without its tests.
BOOST_AUTO_TEST_CASE(a_new_op_is_noticed) {
  Registry& all = registry();
  static constexpr Op fake{.name = "test_only_fake",
                           .arity = 2,
                           .type = fake_type,
                           .vjp = {[](const Vjp& v) { return v.g; }},
                           .kernel = [](const KernelCall&) {},
                           .pointwise = true};
  BOOST_TEST(gaps(fake) == std::vector<std::string>{"test_only_fake: no cases"},
             boost::test_tools::per_element());
  // One that there are cases for, with other traits than it has.
  Op add = all.at("add");
  add.arity = 3;
  BOOST_TEST(std::ranges::count(gaps(add), "add: no case covers: row 2") == 1);
  add = all.at("add");
  add.vjp[1] = nullptr;
  BOOST_TEST(gaps(add) == std::vector<std::string>{"add: no rule for operand 1"},
             boost::test_tools::per_element());
  BOOST_TEST(!has_reference(fake));
}

BOOST_AUTO_TEST_SUITE_END()
