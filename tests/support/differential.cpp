#include "differential.hpp"

#include "approximate.hpp"
#include "check_plan.hpp"
#include "cpp_program.hpp"
#include "use_amx.hpp"
#include "use_winograd.hpp"

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/run/program.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>

#include <algorithm>
#include <set>

namespace tapestry::test {
namespace {

constexpr std::string_view kPasses[] = {"fold_constants", "simplify", "cse",   "fuse",
                                        "recompute",      "in_place", "views", "epilogues"};

/// What the graph should make of State as it is now. What it makes of the initial State, as most steps begin
/// with, is found out once.
class Reference {
 public:
  explicit Reference(const Recorded& recorded) : recorded_(recorded) {}

  const Approximation& now() {
    if (!initial()) return now_ = approximate(recorded_.graph, recorded_.arguments);
    if (!at_first_) at_first_ = approximate(recorded_.graph, recorded_.arguments);
    return *at_first_;
  }

 private:
  bool initial() const {
    const auto state = recorded_.state.all();
    for (std::size_t i = 0; i < state.size(); ++i)
      if (!identical(state[i].value(), recorded_.initial[i])) return false;
    return true;
  }

  const Recorded& recorded_;
  std::optional<Approximation> at_first_{};
  Approximation now_{};
};

class Comparison {
 public:
  Comparison(const Recorded& recorded, Reference& reference, Coverage* coverage)
      : recorded_(recorded), reference_(reference), coverage_(coverage) {}

  std::optional<std::string> run(const CompileOptions& options) {
    recorded_.reset();
    Program program(recorded_.graph, options);
    const auto without = [&](const char* name) { return std::ranges::count(options.without, name) > 0; };
    for (const bool guard : {false, true}) {  // the plan that it has, and one that checks outputs first
      const PlanOptions how{.fuse = !without("fuse"),
                            .recompute = !without("recompute"),
                            .in_place = !without("in_place"),
                            .views = !without("views"),
                            .epilogues = !without("epilogues"),
                            .epilogue_bytes = 0,
                            .guard_outputs = guard};
      Graph graph = program.graph();
      const Plan planned = plan(graph, how);
      check_plan(graph, planned, how);
      if (coverage_) {
        coverage_->epilogues +=
            std::ranges::count_if(planned.tasks, [](const Task& task) { return task.in_parts.has_value(); });
      }
      for (ValueId id = 0; coverage_ && id < graph.size(); ++id) {
        coverage_->views += graph.is_view(id) && !graph.op(id).view;
      }
      PlanOptions copying = how;
      copying.views = false;
      if (how.views && planned.arena_bytes > plan(Graph(program.graph()), copying).arena_bytes)
        return "views take more memory than copies";
    }
    for (int step = 0; step < 2; ++step) {
      const Approximation& expected = reference_.now();
      program.run(recorded_.arguments);
      if (const auto found = compare(program, expected)) return text("step ", step, ": ", *found);
    }
    return {};
  }

 private:
  std::optional<std::string> compare(const Program& program, const Approximation& expected) {
    const Graph& graph = expected.graph;
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
      const auto found = check(program.output(i), expected.values[graph.outputs[i]]);
      if (found) return text("output ", i, ": ", *found);
    }
    for (const Update& update : graph.updates) {
      const auto found = check(update.state.value(), expected.values[update.value]);
      if (found) return text("state ", update.state.name(), ": ", *found);
    }
    return {};
  }

  std::optional<std::string> check(const Tensor& value, const Approximate& expected) {
    if (value.type() != expected.type) return text("is ", value.type(), ", not ", expected.type);
    const Deviation found = deviation(value, expected);
    if (coverage_) {
      coverage_->elements += found.elements;
      coverage_->checked += found.checked;
    }
    return found.worst.empty() ? std::nullopt : std::optional(found.worst);
  }

  const Recorded& recorded_;
  Reference& reference_;
  Coverage* coverage_;
};

void cover(const Graph& graph, Coverage& coverage) {
  coverage.nodes += std::int64_t(graph.size());
  std::set<std::string_view> ops;
  const Graph expanded = expand(graph);
  for (const Graph* g : {&graph, &expanded}) {
    for (const ValueId id : ancestors(*g, g->roots())) ops.insert(g->op(id).name);
  }
  for (const std::string_view op : ops) ++coverage.ops[op];
}

/// In use where there is any: emulated, if the CPU has only what that takes.
kernels::Amx amx(bool use) {
  if (!use) return kernels::Amx::never;
  return !kernels::has_amx() && kernels::cpu_multiplies_bf16() ? kernels::Amx::emulated : kernels::amx_use();
}

std::optional<Failure> difference(const Recorded& recorded, Reference& reference, const Setting& setting,
                                  Coverage* coverage) {
  const UseWinograd use(setting.winograd ? kernels::Winograd::wherever_possible : kernels::Winograd::never);
  const UseAmx use_amx(amx(setting.amx));
  try {
    const CompileOptions options{.without = setting.without, .epilogue_bytes = 0, .verify = true};
    const auto found = Comparison(recorded, reference, coverage).run(options);
    return found ? std::optional(Failure{setting, *found}) : std::nullopt;
  } catch (const std::exception& e) {
    return Failure{setting, e.what(), true};
  }
}

}  // namespace

std::optional<Failure> difference(const Recipe& recipe, const Setting& setting, Coverage* coverage) {
  const Recorded recorded = record(recipe, setting.base);
  Reference reference(recorded);
  return difference(recorded, reference, setting, coverage);
}

std::optional<Failure> difference(const Recipe& recipe, Coverage* coverage) {
  Random random(recipe.seed, 99);
  std::vector<std::string> some;
  for (const std::string_view name : kPasses) {
    if (random.below(2) == 0) some.emplace_back(name);
  }
  const bool winograd = random.below(2) == 0, amx = random.below(4) != 0;
  for (const DType base : {DType::f64, DType::f32}) {
    const Recorded recorded = record(recipe, base);
    if (coverage) cover(recorded.graph, *coverage);
    Reference reference(recorded);
    for (const auto& without : {std::vector<std::string>(), some}) {
      const Setting setting{base, without, winograd, amx};
      if (const auto found = difference(recorded, reference, setting, coverage)) return found;
    }
  }
  return {};
}

std::string report(const Recipe& recipe, const Failure& failure) {
  std::string title = text("random graph ", recipe.seed, " in ", name_of(failure.setting.base));
  for (const std::string& name : failure.setting.without) title += ", without " + name;
  if (failure.setting.winograd)
    title += ", after kernels::use_winograd(kernels::Winograd::wherever_possible)";
  if (!failure.setting.amx) title += ", after kernels::use_amx(kernels::Amx::never)";
  title += '\n' + failure.what;
  const Recorded recorded = record(recipe, failure.setting.base);
  return cpp_program(recorded.graph, recorded.arguments, failure.setting.without, title);
}

}  // namespace tapestry::test
