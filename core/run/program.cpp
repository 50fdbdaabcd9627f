#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/compile/run_passes.hpp>
#include <tapestry/core/language.hpp>
#include <tapestry/core/memory.hpp>
#include <tapestry/core/run/in_parts.hpp>
#include <tapestry/core/run/interpret.hpp>
#include <tapestry/core/run/profiler.hpp>
#include <tapestry/core/run/program.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>

namespace tapestry {
namespace {

bool all_finite(const ConstView& view) {
  const auto count = std::size_t(view.type.shape.elements());
  return visit_dtype(view.type.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (!std::is_floating_point_v<T> && !std::is_same_v<T, bf16>) {
      return true;
    } else {
      return std::ranges::all_of(std::span(view.as<T>(), count), [](T v) {
        if constexpr (std::is_same_v<T, bf16>)
          return std::isfinite(float(v));
        else
          return std::isfinite(v);
      });
    }
  });
}

Tensor copy_of(const ConstView& view) {
  Tensor copy(view.type);
  if (copy.bytes() > 0) std::memcpy(copy.mutable_data(), view.data, copy.bytes());
  return copy;
}

/// The arena isn't cleared: what is read was written in the same step. Without checks its pages come as they
/// are first written to.
Lines allocate_arena(std::size_t bytes) {
  Lines arena = allocate_lines(bytes);
#ifndef NDEBUG
  std::memset(arena.get(), 0xff, bytes);  // NaN: what nobody wrote is seen
#endif
  return arena;
}

/// The arena and the results are of one step at a time.
class Alone {
 public:
  explicit Alone(std::atomic_flag& running) : running_(running) {
    require(!running.test_and_set(std::memory_order_acquire),
            "the program is running already, on another thread: each needs a program of its own");
  }
  ~Alone() { running_.clear(std::memory_order_release); }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  std::atomic_flag& running_;
};

}  // namespace

struct Program::Impl {
  Graph graph;
  Plan plan;
  CompileOptions options;
  ProgramSummary summary;
  std::vector<Tensor> outputs;
  Lines arena;

  /// A kernel call with its operands' places resolved as far as they are known.
  struct Step {
    const kernels::CompiledLoop* loop = nullptr;
    const Node* node = nullptr;
    std::vector<Type> types;  // of what a kernel reads
    void* scratch = nullptr;
    std::optional<InParts> in_parts{};  // a kernel's result for the loop
  };
  std::vector<Step> steps;
  std::vector<std::byte*> addresses;  // by value
  std::vector<ValueId> moving;        // values whose address may change from step to step
  // Filled anew for each call, sized for the largest.
  std::vector<const void*> sources;
  std::vector<void*> sinks;
  std::vector<ConstView> views;
  std::vector<ConstView> given;
  std::vector<ConstView> own_arguments;  // if some had to be set aside
  std::vector<bool> updates_state;       // of the plan's states
  std::vector<Tensor> set_aside;
  Profiler* profiler = nullptr;
  std::uint32_t profiled_as = 0;
  std::atomic_flag running;

  Impl(const Graph& recorded, const CompileOptions& opts) : options(opts) {
    check_pass_names(options);
    const auto wanted = [&](std::string_view name) { return is_pass_on(name, options); };
    graph = run_passes(recorded, options, summary.precision);
    plan = tapestry::plan(graph, {.fuse = wanted("fuse"),
                                  .recompute = wanted("recompute"),
                                  .in_place = wanted("in_place"),
                                  .views = wanted("views"),
                                  .epilogues = wanted("epilogues"),
                                  .epilogue_bytes = options.epilogue_bytes.value_or(kEpilogueBytes),
                                  .guard_outputs = options.require_finite});
    arena = allocate_arena(plan.arena_bytes);
    for (const ValueId id : graph.outputs) outputs.emplace_back(graph.type(id));
    bind();
    summarize();
  }

  void bind() {
    addresses.assign(graph.size(), nullptr);
    std::byte* const base = arena.get();
    for (ValueId id = 0; id < graph.size(); ++id) {
      const Place& place = plan.places[id];
      if (place.kind == Place::Kind::arena) addresses[id] = base + place.index + place.offset;
      if (place.kind == Place::Kind::argument || place.kind == Place::Kind::state ||
          place.kind == Place::Kind::output) {
        moving.push_back(id);
      }
      if (place.kind == Place::Kind::constant) {
        // Kernels only read through it.
        const void* const data = language::constant_value(graph, storage_of(graph, id))->data();
        addresses[id] = static_cast<std::byte*>(const_cast<void*>(data)) + place.offset;
      }
    }
    for (const State& state : plan.states) {
      updates_state.push_back(std::ranges::find(graph.updates, state, &Update::state) != graph.updates.end());
    }
    std::size_t next_loop = 0;
    std::size_t most_reads = 0, most_writes = 0;
    for (std::size_t t = 0; t < plan.tasks.size(); ++t) {
      const Task& task = plan.tasks[t];
      Step step;
      if (task.loop) {
        step.loop = &plan.loops[next_loop++];
        step.scratch = base + plan.scratch[t];
      }
      if (task.in_parts) {
        const auto input = std::ranges::find(task.reads, *task.in_parts) - task.reads.begin();
        step.in_parts = {&graph.node(*task.in_parts), task.rows_of_part, std::size_t(input)};
      }
      if (const std::optional<ValueId> made = made_by_kernel(task)) {
        step.node = &graph.node(*made);
        step.types = graph.input_types(*made);
      }
      most_reads = std::max(most_reads, task.reads.size());
      most_writes = std::max(most_writes, task.writes.size());
      steps.push_back(std::move(step));
    }
    sources.resize(most_reads);
    views.resize(most_reads);
    sinks.resize(most_writes);
  }

  void summarize() {
    summary.tasks = plan.tasks.size();
    summary.flops = plan.flops;
    summary.arena_bytes = plan.arena_bytes;
    summary.output_bytes = plan.output_bytes;
    for (const State& state : plan.states) summary.state_bytes += state.type().bytes();
    for (ValueId id = 0; id < graph.size(); ++id) {
      if (const Tensor* constant = language::constant_value(graph, id))
        summary.constant_bytes += constant->bytes();
    }
    std::size_t part_bytes = 0;
    for (const Step& step : steps) {
      if (step.in_parts) part_bytes = std::max(part_bytes, step.in_parts->reserve());
      if (!step.node || !step.node->op->reserve) continue;
      summary.kernel_bytes = std::max(summary.kernel_bytes,
                                      step.node->op->reserve(step.types, step.node->type, step.node->attrs));
    }
    summary.kernel_bytes += part_bytes;
  }

  /// Of one that is only read the memory stays as it is, shared or not: another program may read it, too.
  void* address_of_state(std::size_t i) {
    const State& state = plan.states[i];
    return updates_state[i] ? state.mutable_data() : const_cast<void*>(state.value().data());
  }

  void* address(const Place& place, std::span<const ConstView> arguments) {
    switch (place.kind) {
      case Place::Kind::argument:
        return const_cast<void*>(arguments[place.index].data);
      case Place::Kind::state:
        return address_of_state(place.index);
      case Place::Kind::output:
        return outputs[place.index].mutable_data();
      default:
        return nullptr;
    }
  }

  void resolve(std::span<const ConstView>& arguments) {
    own_arguments.clear();
    require(arguments.size() == graph.arguments.size(), "the program takes ", graph.arguments.size(),
            " arguments, not ", arguments.size());
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const ValueId id = graph.arguments[i];
      if (arguments[i].type != graph.type(id)) {
        fail("argument ", label(graph, id), " is ", graph.type(id), ", not ", arguments[i].type);
      }
    }
    protect(arguments);
    for (const ValueId id : moving)
      addresses[id] = static_cast<std::byte*>(address(plan.places[id], arguments)) + plan.places[id].offset;
  }

  /// An argument may be a result of the step before or the value of a State that this step writes: f(f(x)).
  /// Then it is set aside, for the step writes there.
  void protect(std::span<const ConstView>& arguments) {
    const auto overlaps = [](const ConstView& a, const Tensor& b) {
      const auto* p = static_cast<const std::byte*>(a.data);
      const auto* q = static_cast<const std::byte*>(b.data());
      return p < q + b.bytes() && q < p + a.type.bytes();
    };
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const auto is_written = [&](const Tensor& tensor) { return overlaps(arguments[i], tensor); };
      if (std::ranges::none_of(outputs, is_written) &&
          std::ranges::none_of(plan.states, [&](const State& state) { return is_written(state.value()); })) {
        continue;
      }
      if (own_arguments.empty()) own_arguments.assign(arguments.begin(), arguments.end());
      set_aside.resize(arguments.size());
      set_aside[i] = copy_of(arguments[i]);
      own_arguments[i] = std::as_const(set_aside[i]).view();
    }
    if (!own_arguments.empty()) arguments = own_arguments;
  }

  void execute(std::size_t t) {
    const Task& task = plan.tasks[t];
    const Step& step = steps[t];
    const std::size_t inputs = step.loop ? task.loop->inputs.size() : 0;
    for (std::size_t i = 0; i < inputs; ++i) sources[i] = addresses[task.reads[i]];
    for (std::size_t i = inputs; i < task.reads.size(); ++i)
      views[i - inputs] = {addresses[task.reads[i]], step.types[i - inputs]};
    for (std::size_t i = 0; i < task.writes.size(); ++i) sinks[i] = addresses[task.writes[i]];
    const auto of_kernel = std::span(views).first(task.reads.size() - inputs);
    const auto of_loop = std::span(sources).first(inputs);
    const auto results = std::span(sinks).first(task.writes.size());
    if (step.in_parts) return step.in_parts->run(of_kernel, *step.loop, of_loop, results);
    if (step.loop) return step.loop->run(of_loop, results, step.scratch);
    run_kernel(*step.node, of_kernel, {results.front(), step.node->type});
  }

  void execute_watched(std::size_t t) {
    if (!profiler) return execute(t);
    const auto begin = profiler->begin_task(profiled_as, std::uint32_t(t));
    execute(t);
    profiler->end_task(profiled_as, std::uint32_t(t), begin);
  }

  void run(std::span<const Tensor> arguments) {
    const Alone alone(running);  // `given` is of one step at a time, too
    given.clear();
    for (const Tensor& argument : arguments) given.push_back(argument.view());
    run_alone(given);
  }

  void run(std::span<const ConstView> arguments) {
    const Alone alone(running);
    run_alone(arguments);
  }

  void run_alone(std::span<const ConstView> arguments) {
    const auto begin = profiler ? profiler->now() : 0;
    resolve(arguments);
    std::size_t t = 0;
    for (; t < plan.first_commit; ++t) execute_watched(t);
    if (options.require_finite) check_outputs(arguments);
    for (; t < plan.tasks.size(); ++t) execute_watched(t);
    finish(arguments);
    if (profiler) profiler->end_step(profiled_as, begin);
  }

  /// Moves results to where they are wanted: outputs first, while the old values of State are still there.
  void finish(std::span<const ConstView> arguments) {
    std::byte* const base = arena.get();
    for (const Plan::Copy& copy : plan.copies) {
      if (copy.to.kind == Place::Kind::output) {
        std::memcpy(address(copy.to, arguments), addresses[copy.from], copy.bytes);
      } else if (copy.staging) {
        std::memcpy(base + *copy.staging, addresses[copy.from], copy.bytes);
      }
    }
    for (const Plan::Copy& copy : plan.copies) {
      if (copy.to.kind == Place::Kind::output) continue;
      std::memcpy(address(copy.to, arguments), copy.staging ? base + *copy.staging : addresses[copy.from],
                  copy.bytes);
    }
  }

  /// All outputs that are made by tasks exist by now; those that are arguments or constants were finite or
  /// not before.
  void check_outputs(std::span<const ConstView> arguments) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      // Where the value is now: an argument or an old value of State is moved to its place at the end of the
      // step.
      const ConstView value{addresses[graph.outputs[i]], graph.type(graph.outputs[i])};
      if (!all_finite(value)) throw NotFinite(blame(i, value, arguments));
    }
  }

  /// Runs the step again one node at a time and names the first op that made a value that isn't finite of
  /// values that are; failing that the first leaf that wasn't.
  std::string blame(std::size_t output, const ConstView& made, std::span<const ConstView> arguments) {
    std::vector<Tensor> values;
    for (const ConstView& argument : arguments) values.push_back(copy_of(argument));
    std::string culprit, leaf;
    std::vector<bool> finite;  // by value, in the order of computation
    interpret(graph, values, [&](const Graph& g, ValueId id, const Tensor& value) {
      finite.resize(g.size(), true);
      finite[id] = all_finite(value.view());
      if (finite[id]) return true;
      const Node& node = g.node(id);
      const std::string what = text(label(g, id), ' ', value.type(), " (", to_string(node.at), ')');
      if (node.arity == 0) {
        if (leaf.empty()) leaf = what + " wasn't finite to begin with";
        return true;
      }
      if (!std::ranges::all_of(g.inputs(id), [&](ValueId input) { return finite[input]; })) return true;
      culprit = "first made by " + what;
      return false;
    });
    if (culprit.empty()) culprit = leaf.empty() ? "not found again one op at a time" : leaf;
    const std::string value = made.type.shape.elements() == 1 ? text(" (", copy_of(made).item(), ")") : "";
    return text("output ", output, " isn't finite", value, ": ", culprit, "; the step wasn't applied");
  }
};

Program::Program(const Graph& graph, const CompileOptions& options)
    : impl_(std::make_unique<Impl>(graph, options)) {}
Program::~Program() = default;
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;

Program::Impl& Program::impl() const {
  require(impl_ != nullptr, "this program was moved to another variable");
  return *impl_;
}

void Program::run(std::span<const ConstView> arguments) { impl().run(arguments); }

void Program::run(std::span<const Tensor> arguments) { impl().run(arguments); }

void Program::profile(Profiler* profiler, const std::string& name) {
  if (profiler) impl().profiled_as = profiler->add_program(name, task_infos(impl().graph, impl().plan));
  impl().profiler = profiler;
}

const Tensor& Program::output(std::size_t i) const {
  require(i < outputs().size(), "the program has ", outputs().size(), " outputs: there is no output ", i);
  return outputs()[i];
}
const std::vector<Tensor>& Program::outputs() const { return impl().outputs; }
const Graph& Program::graph() const { return impl().graph; }
const Plan& Program::plan() const { return impl().plan; }
const ProgramSummary& Program::summary() const { return impl().summary; }

Program compile(const Tape& tape, std::span<const Var> outputs, const CompileOptions& options) {
  Graph graph = tape.graph();
  for (const Var& output : outputs) {
    require(&output.tape() == &tape, "compile: an output was recorded on another tape");
    graph.outputs.push_back(output.id());
  }
  return Program(graph, options);
}

Program compile(const Var& output, const CompileOptions& options) {
  return compile(output.tape(), std::span(&output, 1), options);
}

}  // namespace tapestry
