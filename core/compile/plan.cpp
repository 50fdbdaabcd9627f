#include <tapestry/core/compile/arena.hpp>
#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/order.hpp>
#include <tapestry/core/compile/placement.hpp>
#include <tapestry/core/compile/plan.hpp>
#include <tapestry/core/compile/task_info.hpp>
#include <tapestry/core/compile/views.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

namespace tapestry {
namespace {

/// By task: does it make what a step may fail of? State may change only after everything that can: a failed
/// step then has changed nothing.
std::vector<bool> checks_of(const Graph& graph, std::span<const Task> tasks, bool guard_outputs) {
  std::vector<bool> output(graph.size(), false);
  if (guard_outputs) {
    for (const ValueId id : graph.outputs) output[storage_of(graph, id)] = true;
  }
  std::vector<bool> checks(tasks.size(), false);
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    checks[t] =
        std::ranges::any_of(tasks[t].nodes,
                            [&](ValueId id) { return graph.op(id).must_run || graph.op(id).can_fail; }) ||
        std::ranges::any_of(tasks[t].writes, [&](ValueId id) { return output[id]; });
  }
  return checks;
}
std::size_t after_last(const std::vector<bool>& checks) {
  return std::size_t(std::find(checks.rbegin(), checks.rend(), true).base() - checks.begin());
}

/// Gives places for tasks in this order.
class Planner {
 public:
  /// `scratch`: the bytes that each task needs while it runs.
  Planner(const Graph& graph, const PlanOptions& options, std::span<const Task> tasks,
          std::span<const std::size_t> scratch)
      : graph_(graph), options_(options), tasks_(tasks), scratch_(scratch), end_(tasks.size()) {}

  /// All but the tasks and their loops.
  Plan run() {
    plan_.places.resize(graph_.size());
    plan_.first_commit = after_last(checks_of(graph_, tasks_, options_.guard_outputs));
    find_makers();
    find_last_uses();
    place_leaves();
    place_outputs();
    place_updates();
    place_arena();
    place_views();
    stage_copies();
    return std::move(plan_);
  }

 private:
  ValueId storage(ValueId id) const { return storage_of(graph_, id); }
  bool placed(ValueId id) const { return plan_.places[id].kind != Place::Kind::none; }

  void find_makers() {
    maker_.assign(graph_.size(), kNone);
    for (std::size_t t = 0; t < end_; ++t) {
      for (const ValueId id : tasks_[t].writes) maker_[id] = std::uint32_t(t);
    }
  }

  void find_last_uses() {
    last_use_.assign(graph_.size(), 0);
    for (std::size_t t = 0; t < end_; ++t) {
      for (const ValueId id : tasks_[t].writes) last_use_[id] = std::max(last_use_[id], t);
      for (const ValueId id : tasks_[t].reads) last_use_[storage(id)] = t;
    }
    for (const ValueId id : graph_.outputs) last_use_[storage(id)] = end_;
    // An update that moves a value at the end of the step uses it there; see place_updates for those that
    // don't.
  }

  std::size_t state_index(const State& state) {
    const auto [it, fresh] = state_index_.emplace(state.id(), plan_.states.size());
    if (fresh) plan_.states.push_back(state);
    return it->second;
  }

  void place_leaves() {
    for (std::size_t i = 0; i < graph_.arguments.size(); ++i) {
      plan_.places[graph_.arguments[i]] = {Place::Kind::argument, i};
    }
    for (ValueId id = 0; id < graph_.size(); ++id) {
      const Node& node = graph_.node(id);
      if (node.op == &language::constant) plan_.places[id] = {Place::Kind::constant, id};
      if (node.op == &language::state) {
        const State& state = node.attrs.as<StateAttrs>().state;
        plan_.places[id] = {Place::Kind::state, state_index(state)};
        reads_of_[state.id()].push_back(id);
      }
    }
  }

  void place_outputs() {
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const ValueId id = storage(graph_.outputs[i]);
      const Place to{Place::Kind::output, i};
      plan_.output_bytes += graph_.type(id).bytes();
      if (maker_[id] != kNone && !placed(id)) {
        plan_.places[id] = to;
      } else {
        plan_.copies.push_back({id, to, graph_.type(id).bytes()});
      }
    }
  }

  void place_updates() {
    // In order of computation, so that of two states that swap values the second sees what the first has
    // done.
    std::vector<const Update*> updates;
    for (const Update& update : graph_.updates) updates.push_back(&update);
    std::ranges::stable_sort(updates, {}, [&](const Update* u) { return maker_[storage(u->value)]; });
    // First those that must wait: their values live to the end, which others have to know.
    std::vector<const Update*> direct;
    for (const Update* update : updates) {
      if (can_write_directly(*update)) {
        direct.push_back(update);
      } else {
        copy_at_end(*update);
      }
    }
    for (const Update* update : direct) {
      // Checked again: a value that lives to the end may be the old value of this state.
      if (can_write_directly(*update)) {
        plan_.places[storage(update->value)] = {Place::Kind::state, state_index(update->state)};
      } else {
        copy_at_end(*update);
      }
    }
  }

  void copy_at_end(const Update& update) {
    const ValueId id = storage(update.value);
    const Place to{Place::Kind::state, state_index(update.state)};
    if (plan_.places[id].kind == to.kind && plan_.places[id].index == to.index) return;  // unchanged
    last_use_[id] = end_;
    plan_.copies.push_back({id, to, graph_.type(id).bytes()});
  }

  /// May the task that makes the new value put it where the old one is?
  bool can_write_directly(const Update& update) const {
    const ValueId id = storage(update.value);
    const std::uint32_t t = maker_[id];
    if (t == kNone || placed(id) || t < plan_.first_commit) return false;
    const auto olds = reads_of_.find(update.state.id());
    if (olds == reads_of_.end()) return true;
    for (const ValueId old : olds->second) {
      if (last_use_[old] > t) return false;
      if (last_use_[old] == t && !may_overwrite(tasks_[t], old, id)) return false;
    }
    return true;
  }

  /// May `task` write `made` over the value `old` that it reads? Only element by element.
  bool may_overwrite(const Task& task, ValueId old, ValueId made) const {
    if (!task.loop || graph_.type(old).dtype != graph_.type(made).dtype) return false;
    const auto position = std::size_t(std::ranges::find(task.writes, made) - task.writes.begin());
    const kernels::LoopOutput& output = task.loop->outputs[position];
    if (output.reduce != kernels::Reduce::none) return false;
    for (std::size_t i = 0; i < task.reads.size(); ++i) {
      if (storage(task.reads[i]) != old) continue;
      if (i >= task.loop->inputs.size()) return false;  // of the kernel before it
      if (graph_.type(task.reads[i]).bytes() != graph_.type(old).bytes() ||
          !same_walk(task.loop->extents, task.loop->inputs[i].strides, output.strides)) {
        return false;
      }
    }
    return true;
  }

  void place_arena() {
    ArenaPlanner arena;
    plan_.scratch.assign(end_, 0);
    std::unordered_map<std::size_t, ValueId> owner;  // offset -> the value that lives there
    for (std::size_t t = 0; t < end_; ++t) {
      const Task& task = tasks_[t];
      for (const ValueId id : task.writes) {
        if (placed(id)) continue;
        std::size_t offset = take_over(task, id, t);
        if (offset == kNoOffset) offset = arena.allocate(graph_.type(id).bytes());
        plan_.places[id] = {Place::Kind::arena, offset};
        owner[offset] = id;
      }
      if (scratch_[t] > 0) {
        plan_.scratch[t] = arena.allocate(scratch_[t]);
        arena.release(plan_.scratch[t]);
      }
      const auto release_if_dead = [&](ValueId id) {
        const Place& place = plan_.places[id];
        if (place.kind != Place::Kind::arena || last_use_[id] > t) return;
        const auto it = owner.find(place.index);
        if (it == owner.end() || it->second != id) return;  // taken over, or released before
        owner.erase(it);
        arena.release(place.index);
      };
      for (const ValueId id : task.reads) release_if_dead(storage(id));
      for (const ValueId id : task.writes) release_if_dead(id);
      plan_.flops += task_flops(graph_, task);
    }
    plan_.arena_bytes = arena.size();
  }

  static constexpr std::size_t kNoOffset = ~std::size_t{0};

  /// The place of an operand that dies here and may be overwritten, or kNoOffset.
  std::size_t take_over(const Task& task, ValueId made, std::size_t t) {
    if (!options_.in_place) return kNoOffset;
    for (const ValueId read : task.reads) {
      const ValueId old = storage(read);
      const Place& place = plan_.places[old];
      if (place.kind != Place::Kind::arena || last_use_[old] != t || maker_[old] == t) continue;
      if (graph_.type(old).bytes() != graph_.type(made).bytes() || !may_overwrite(task, old, made)) continue;
      const auto shares = [&](ValueId other) {
        const Place& p = plan_.places[other];
        return p.kind == Place::Kind::arena && p.index == place.index;
      };
      if (std::ranges::any_of(task.writes, shares)) continue;
      return place.index;
    }
    return kNoOffset;
  }

  void place_views() {
    for (ValueId id = 0; id < graph_.size(); ++id) {
      if (!graph_.is_view(id)) continue;
      plan_.places[id] = plan_.places[graph_.input(id, 0)];
      plan_.places[id].offset += view_offset(graph_, id);
    }
  }

  /// Two states may swap values: then neither may be overwritten before both are read.
  void stage_copies() {
    for (Plan::Copy& copy : plan_.copies) {
      if (plan_.places[copy.from].kind != Place::Kind::state || copy.to.kind != Place::Kind::state) continue;
      copy.staging = plan_.arena_bytes;
      plan_.arena_bytes += (copy.bytes + 63) / 64 * 64;
    }
  }

  const Graph& graph_;
  PlanOptions options_;
  std::span<const Task> tasks_;
  std::span<const std::size_t> scratch_;
  std::size_t end_;
  Plan plan_;
  std::vector<std::uint32_t> maker_;   // the task that makes a value
  std::vector<std::size_t> last_use_;  // the last task that needs it; end_ if the end of the step does
  std::unordered_map<const void*, std::size_t> state_index_;
  std::unordered_map<const void*, std::vector<ValueId>> reads_of_;  // state -> the values that read it
};

/// Compiles loops, equal ones once: a net of many layers has the same few in each.
class LoopCompiler {
 public:
  kernels::CompiledLoop operator()(const kernels::Loop& loop) {
    std::string identity = kernels::identity_of(loop);
    if (const auto found = all_.find(identity); found != all_.end()) return found->second;
    return all_.emplace(std::move(identity), kernels::CompiledLoop(loop)).first->second;
  }

 private:
  std::unordered_map<std::string, kernels::CompiledLoop> all_;
};

template <class T>
std::vector<T> permuted(const std::vector<T>& from, const std::vector<std::size_t>& order) {
  std::vector<T> to;
  to.reserve(from.size());
  for (const std::size_t i : order) to.push_back(from[i]);
  return to;
}

/// Tasks in order with what goes with each, and the plan for that order.
class Choice {
 public:
  Choice(Graph& graph, const PlanOptions& options)
      : graph_(graph), options_(options), tasks_(schedule(graph, options.fuse, options.recompute)) {
    tasks_ = update_early(graph, std::move(tasks_), after_last(checks()));
    loops_.resize(tasks_.size());
    scratch_.resize(tasks_.size(), 0);
    LoopCompiler compiled;
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      if (!tasks_[t].loop) continue;
      loops_[t] = compiled(*tasks_[t].loop);
      scratch_[t] = loops_[t]->scratch_bytes();
    }
    plan_ = Planner(graph, options, tasks_, scratch_).run();
    if (options.epilogues) add_epilogues();
  }

  /// That could be views.
  std::vector<ValueId> slices() const { return slices_to_view(graph_, tasks_, false); }

  /// Slices are no tasks where memory doesn't rise by it: all of them or, if it would, those that look worth
  /// it. Returns which, now views in the graph.
  std::vector<ValueId> view(const std::vector<ValueId>& all) {
    if (try_views(all)) return all;
    const std::vector<ValueId> some = slices_to_view(graph_, tasks_, true);
    if (!some.empty() && some != all && try_views(some)) return some;
    return {};
  }

  std::size_t arena_bytes() const { return plan_.arena_bytes; }

  /// Another order, if it is worth it: what was recorded together is near in the caches.
  void free_early() {
    const std::vector<std::size_t> order = tapestry::free_early(graph_, tasks_, checks());
    if (std::ranges::is_sorted(order)) return;
    take(permuted(tasks_, order), order,
         [&](const Plan& p) { return p.arena_bytes < plan_.arena_bytes - plan_.arena_bytes / 64; });
  }

  Plan result() {
    plan_.tasks = std::move(tasks_);
    for (auto& loop : loops_) {
      if (loop) plan_.loops.push_back(std::move(*loop));
    }
    return std::move(plan_);
  }

 private:
  /// Where memory doesn't rise by it: operands of a kernel live until its loop runs.
  void add_epilogues() {
    auto [tasks, kept] = with_epilogues(graph_, tasks_, options_.epilogue_bytes);
    if (tasks.empty()) return;
    take(std::move(tasks), kept, [&](const Plan& p) { return p.arena_bytes <= plan_.arena_bytes; });
  }

  bool try_views(const std::vector<ValueId>& slices) {
    std::vector<std::size_t> others;
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      if (!std::ranges::binary_search(slices, tasks_[t].nodes.front())) others.push_back(t);
    }
    for (const ValueId id : slices) graph_.set_view(id, true);
    const bool taken = take(permuted(tasks_, others), others,
                            [&](const Plan& p) { return p.arena_bytes <= plan_.arena_bytes; });
    for (const ValueId id : slices) graph_.set_view(id, taken);
    return taken;
  }

  std::vector<bool> checks() const { return checks_of(graph_, tasks_, options_.guard_outputs); }

  /// Those tasks, which were at these positions, if their plan is better and has no more copies.
  template <class Better>
  bool take(std::vector<Task> tasks, const std::vector<std::size_t>& positions, const Better& is_better) {
    std::vector<std::size_t> scratch = permuted(scratch_, positions);
    Plan other = Planner(graph_, options_, tasks, scratch).run();
    if (!is_better(other) || other.copies.size() > plan_.copies.size()) return false;
    plan_ = std::move(other);
    tasks_ = std::move(tasks);
    scratch_ = std::move(scratch);
    loops_ = permuted(loops_, positions);
    return true;
  }

  Graph& graph_;
  PlanOptions options_;
  // By task.
  std::vector<Task> tasks_;
  std::vector<std::optional<kernels::CompiledLoop>> loops_;
  std::vector<std::size_t> scratch_;
  Plan plan_;
};

}  // namespace

Plan plan(Graph& graph, const PlanOptions& options) {
  for (ValueId id = 0; id < graph.size(); ++id) graph.set_view(id, graph.op(id).view);  // planned before?
  Choice choice(graph, options);
  const std::vector<ValueId> slices = options.views ? choice.slices() : std::vector<ValueId>();
  if (!slices.empty()) {
    Choice viewing = choice;
    if (const std::vector<ValueId> views = viewing.view(slices); !views.empty()) {
      // An order that frees memory early may gain more without them.
      viewing.free_early();
      for (const ValueId id : views) graph.set_view(id, false);
      choice.free_early();
      if (viewing.arena_bytes() > choice.arena_bytes()) return choice.result();
      for (const ValueId id : views) graph.set_view(id, true);
      return viewing.result();
    }
  }
  choice.free_early();
  return choice.result();
}

}  // namespace tapestry
