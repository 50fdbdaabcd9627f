// The gradient checks against deliberately broken rules: every mutant of every op has to be caught by one of
// the op's cases, or be listed here with the reason why it is no mistake. See tests/support/mutations.hpp.
#include "../support/mutations.hpp"
#include "../support/op_cases.hpp"

#include <tapestry/core/check_gradients.hpp>
#include <tapestry/core/registry.hpp>

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using test::Mutant;
using test::Mutation;
using test::OpCase;

namespace {

/// Mutants that compute the same. The test fails for one that is caught after all.
struct Equivalent {
  std::string_view op, mutation, reason;
};
constexpr Equivalent kEquivalents[] = {
    {"add", "swapped 0 1", "both gradients are the cotangent"},
    {"concat", "broadcast sum skipped 0", "the first part is the first slice"},
    {"dropout", "dropped 1", "the numbers are compared with a threshold: their gradient is 0"}};

/// Linear, or linear between kinks: the derivative doesn't depend on the operands, or only on their order.
constexpr std::string_view kLinear[] = {"neg",
                                        "abs",
                                        "add",
                                        "sub",
                                        "maximum",
                                        "minimum",
                                        "clamp",
                                        "cast",
                                        "where",
                                        "relu",
                                        "sum",
                                        "mean",
                                        "max",
                                        "min",
                                        "sum_to",
                                        "reshape",
                                        "permute",
                                        "flip",
                                        "slice",
                                        "pad",
                                        "take",
                                        "pick",
                                        "stack",
                                        "concat",
                                        "dropout",
                                        "broadcast_to",
                                        "pad_reflect",
                                        "scatter_add",
                                        "leaky_relu",
                                        "max_pool2d",
                                        "max_pool2d_pick",
                                        "max_pool2d_put",
                                        "avg_pool2d",
                                        "avg_pool2d_images",
                                        "adaptive_max_pool2d",
                                        "adaptive_avg_pool2d",
                                        "resize2d",
                                        "multiclass_hinge"};

std::string_view reason_for(std::string_view op, std::string_view mutation) {
  for (const Equivalent& e : kEquivalents) {
    if (e.op == op && e.mutation == mutation) return e.reason;
  }
  if (mutation == "constant in the operands" && std::ranges::count(kLinear, op))
    return "the op is linear between kinks";
  return {};
}

bool works_along_axes(const std::vector<const OpCase*>& cases) {
  return std::ranges::any_of(cases, [](const OpCase* c) { return test::coverage(*c).contains("has axes"); });
}

struct Outcome {
  bool applied = false;
  const OpCase* caught_by = nullptr;
};

Outcome try_out(const Op& op, const Mutation& mutation, const std::vector<const OpCase*>& cases) {
  Outcome outcome;
  for (const OpCase* c : cases) {
    const Mutant mutant(op, mutation);
    const GradientCheck check = check_gradients(c->f, c->inputs, {.order = mutation.order});
    outcome.applied |= mutant.applied() && check.comparisons > 0;
    if (!check.passes(test::tolerance(op.name))) {
      outcome.caught_by = c;
      break;
    }
  }
  return outcome;
}

std::vector<const Op*> differentiated_ops() {
  std::vector<const Op*> ops;
  for (const Op* op : registry().all()) {
    if (test::differentiated(op->name)) ops.push_back(op);
  }
  return ops;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mutants)

// Else a mutant could be caught for what the machinery does and not for its mistake.
BOOST_AUTO_TEST_CASE(rules_left_intact_pass) {
  for (const Op* op : differentiated_ops()) {
    const Outcome outcome = try_out(*op, test::intact(), test::cases_of(op->name));
    BOOST_TEST(outcome.applied, op->name << ": the stand-in was never asked");
    if (outcome.caught_by) BOOST_ERROR(op->name << ": intact, but not passed by " << outcome.caught_by->name);
  }
}

BOOST_AUTO_TEST_CASE(every_mutant_is_caught) {
  std::ostringstream report;
  int caught = 0;
  for (const Op* op : registry().all()) {
    if (!test::differentiated(op->name)) {
      report << '\n' << op->name << ": no rule to break: " << op->no_gradient;
      continue;
    }
    const std::vector<const OpCase*> cases = test::cases_of(op->name);
    int caught_here = 0;
    std::string others;
    for (const Mutation& m : test::mutations(test::floating_operands(op->name), works_along_axes(cases)))
      BOOST_TEST_CONTEXT(op->name << ", " << m.name) try {
        const auto [applied, caught_by] = try_out(*op, m, cases);
        const std::string_view reason = reason_for(op->name, m.name);
        if (!applied) {
          BOOST_TEST(!m.always_applicable, "no case that it would change");
          others += text("; ", m.name, ": not applicable");
        } else if (!reason.empty()) {
          if (caught_by)
            BOOST_ERROR("listed as equivalent (" << reason << "), but caught by " << caught_by->name);
          others += text("; ", m.name, ": equivalent, ", reason);
        } else {
          BOOST_TEST(caught_by, "survives all " << cases.size() << " cases");
          ++caught_here;
        }
      } catch (const std::exception& e) {
        BOOST_ERROR(e.what());
      }
    report << '\n' << op->name << ": " << caught_here << " caught" << others;
    caught += caught_here;
  }
  BOOST_TEST_MESSAGE(caught << " mutants caught" << report.str());
}

BOOST_AUTO_TEST_CASE(the_list_of_equivalents_is_used) {
  for (const Equivalent& e : kEquivalents) {
    const auto all = test::mutations(test::floating_operands(e.op), false);
    BOOST_TEST(test::differentiated(e.op), e.op);
    BOOST_TEST(std::ranges::any_of(all, [&](const Mutation& m) { return m.name == e.mutation; }),
               e.op << " has no mutant " << e.mutation);
  }
  for (const std::string_view op : kLinear) BOOST_TEST(test::differentiated(op), op);
}

BOOST_AUTO_TEST_SUITE_END()
