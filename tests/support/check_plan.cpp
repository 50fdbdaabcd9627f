#include "check_plan.hpp"

#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace tapestry::test {
namespace {

using Kind = Place::Kind;

/// A range of bytes of the arena, or the whole of an argument, a constant, a State or an output.
struct Range {
  Kind space = Kind::none;
  std::size_t which = 0;  // of those that are whole
  std::size_t begin = 0, end = 0;

  bool overlaps(const Range& other) const {
    return space == other.space && which == other.which && begin < other.end && other.begin < end;
  }
  friend bool operator==(const Range&, const Range&) = default;
};

class Walk {
 public:
  Walk(const Graph& graph, const Plan& plan, const PlanOptions& options)
      : graph_(graph), plan_(plan), options_(options), made_(graph.size(), false) {}

  void run() {
    check(plan_.places.size() == graph_.size() && plan_.scratch.size() == plan_.tasks.size(),
          "the plan is of another graph");
    leaves();
    for (task_ = 0; task_ < plan_.tasks.size(); ++task_) step(plan_.tasks[task_]);
    copies();
    ending();
  }

 private:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    require(ok, "illegal plan, task ", task_, " of ", plan_.tasks.size(), ": ", parts...);
  }
  std::string name(ValueId id) const { return text('%', id, ' ', label(graph_, id)); }
  std::size_t bytes(ValueId id) const { return graph_.type(id).bytes(); }

  Range range(const Place& place, std::size_t size) const {
    const std::size_t begin = place.offset + (place.kind == Kind::arena ? place.index : 0);
    return {place.kind, place.kind == Kind::arena ? 0 : place.index, begin, begin + size};
  }
  Range range_of(ValueId id) const { return range(plan_.places[id], bytes(id)); }

  void leaves() {
    for (ValueId id = 0; id < graph_.size(); ++id) {
      const Node& node = graph_.node(id);
      const Kind kind = plan_.places[id].kind;
      if (node.op == &language::input) check(kind == Kind::argument, name(id), " is no argument");
      if (node.op == &language::constant) check(kind == Kind::constant, name(id), " is no constant");
      if (node.op == &language::state) {
        check(kind == Kind::state && state_at(plan_.places[id]) == node.attrs.as<StateAttrs>().state,
              name(id), " isn't in its State");
      }
      if (node.op == &language::input || node.op == &language::constant || node.op == &language::state) {
        made_[id] = true;
      } else if (graph_.is_view(id)) {
        view(id);
      }
    }
  }
  void view(ValueId id) const {
    const ValueId from = graph_.input(id, 0);
    const Place &mine = plan_.places[id], &whole = plan_.places[from];
    check(mine.kind == whole.kind && mine.index == whole.index, name(id), " isn't where it is a view of");
    if (graph_.op(id).view) {
      check(mine.offset == whole.offset && bytes(id) == bytes(from), name(id), " isn't all of its operand");
      return;
    }
    check(options_.views, name(id), " is a view");
    const Op& op = graph_.op(id);
    const auto first = op.run_of ? op.run_of(graph_.type(from), graph_.node(id).attrs) : std::nullopt;
    check(first.has_value(), name(id), " takes elements from here and there, and is a view");
    const std::size_t offset = std::size_t(*first) * size_of(graph_.type(id).dtype);
    check(mine.offset == whole.offset + offset && offset + bytes(id) <= bytes(from), name(id),
          " begins elsewhere");
  }
  const State& state_at(const Place& place) const { return plan_.states.at(place.index); }

  /// The value is in memory now.
  void needs(ValueId id, std::string_view why) const {
    const ValueId whole = storage_of(graph_, id);
    check(made_[whole], name(whole), ", which ", why, ", was overwritten or never stored");
    check(plan_.places[whole].kind != Kind::none, name(whole), ", which ", why, ", has no place");
  }

  /// What lies in a range is no more, but for `except`.
  void overwrite(const Range& written, ValueId except = kNone) {
    for (ValueId id = 0; id < graph_.size(); ++id) {
      if (id != except && made_[id] && !graph_.is_view(id) && range_of(id).overlaps(written))
        made_[id] = false;
    }
  }

  void step(const Task& task) {
    for (const ValueId id : task.nodes) {
      const Op& op = graph_.op(id);
      check(!(op.must_run || op.can_fail) || task_ < plan_.first_commit, name(id),
            " may fail after a commit");
    }
    for (const ValueId id : task.reads) {
      if (id != task.in_parts) needs(id, "it reads");
    }
    if (task.in_parts) in_parts(task);
    std::vector<Range> written;
    for (std::size_t w = 0; w < task.writes.size(); ++w) {
      const ValueId id = task.writes[w];
      check(!graph_.is_view(id), name(id), " is a view and is written");
      const Range to = range_of(id);
      check_target(id, to);
      for (const Range& other : written) check(!to.overlaps(other), name(id), " overlaps another result");
      for (std::size_t r = 0; r < task.reads.size(); ++r) check_in_place(task, w, r, to);
      written.push_back(to);
    }
    if (const Range scratch = scratch_of(task); scratch.end > scratch.begin) {
      for (const Range& to : written) check(!to.overlaps(scratch), "scratch memory overlaps a result");
      for (const ValueId id : task.reads) {
        check(!range_of(storage_of(graph_, id)).overlaps(scratch), "scratch memory overlaps ", name(id));
      }
      check(scratch.end <= plan_.arena_bytes, "scratch memory ends outside of the arena");
      overwrite(scratch);
    }
    for (const Range& to : written) overwrite(to);
    for (const ValueId id : task.writes) made_[id] = true;
  }

  /// A kernel's result that is in no memory, for the loop of the task alone.
  void in_parts(const Task& task) const {
    const ValueId id = *task.in_parts;
    check(options_.epilogues && task.loop && graph_.op(id).parts.make, name(id), " is made in parts");
    check(task.rows_of_part > 0, name(id), " is made in parts of no rows");
    check(plan_.places[id].kind == Kind::none, name(id), " is made in parts and has a place");
    const auto inputs = graph_.inputs(id);
    check(task.reads.size() == task.loop->inputs.size() + inputs.size() &&
              std::equal(inputs.begin(), inputs.end(), task.reads.end() - std::ptrdiff_t(inputs.size())),
          "the operands of ", name(id), " aren't the last that are read");
    check(std::ranges::count(task.reads, id) == 1, name(id), " is read more than once");
    check(task.loop->extents == graph_.type(id).shape && !task.loop->row, name(id),
          " is read in another order");
    for (const kernels::LoopOutput& output : task.loop->outputs)
      check(output.reduce == kernels::Reduce::none, name(id), " is reduced");
  }

  Range scratch_of(const Task& task) const {
    if (!task.loop) return {};
    std::size_t index = 0;
    for (std::size_t t = 0; t < task_; ++t) index += plan_.tasks[t].loop.has_value();
    const std::size_t begin = plan_.scratch[task_];
    return {Kind::arena, 0, begin, begin + plan_.loops.at(index).scratch_bytes()};
  }

  void check_target(ValueId id, const Range& to) const {
    check(to.space == Kind::arena || to.space == Kind::state || to.space == Kind::output, name(id),
          " is written to no memory of its own");
    if (to.space == Kind::arena) check(to.end <= plan_.arena_bytes, name(id), " ends outside of the arena");
    if (to.space == Kind::state) {
      check(task_ >= plan_.first_commit, name(id), " is written to State before the checks have passed");
      const Type& type = state_at(plan_.places[id]).type();  // the shape may be another: it may be reshaped
      check(type.dtype == graph_.type(id).dtype && type.bytes() == bytes(id), name(id), " isn't its State");
    }
    if (to.space == Kind::output) {
      check(graph_.type(graph_.outputs.at(to.which)).bytes() == bytes(id), name(id), " has another size");
    }
  }

  /// Result w over operand r: at the same places, each element read where it is written and nowhere else.
  void check_in_place(const Task& task, std::size_t w, std::size_t r, const Range& to) const {
    const ValueId old = storage_of(graph_, task.reads[r]), made = task.writes[w];
    if (!range_of(old).overlaps(to)) return;
    check(options_.in_place || to.space != Kind::arena, name(made), " is written in place");
    check(range_of(old) == to && range_of(task.reads[r]) == to, name(made), " overlaps ", name(old),
          " in part");
    check(task.loop.has_value() && r < task.loop->inputs.size(), name(made), " is written over ", name(old),
          " by a kernel");
    const kernels::LoopOutput& output = task.loop->outputs.at(w);
    const kernels::LoopInput& input = task.loop->inputs.at(r);
    check(output.reduce == kernels::Reduce::none, name(made), " is reduced over ", name(old));
    check(output.dtype == input.dtype, name(made), " is written over ", name(old), ", of another dtype");
    const Shape& extents = task.loop->extents;
    for (int d = 0; d < extents.rank(); ++d) {
      check(extents[d] == 1 || output.strides[d] == input.strides[d], name(made), " is written over ",
            name(old), ", which is read in another order");
    }
  }

  void copies() {
    for (const Plan::Copy& copy : plan_.copies) {
      if (copy.to.kind != Kind::output && !copy.staging) continue;
      needs(copy.from, "is moved");
      check(copy.bytes == bytes(copy.from), name(copy.from), " is moved in part");
      if (copy.to.kind == Kind::output) continue;
      const Range staged{Kind::arena, 0, *copy.staging, *copy.staging + copy.bytes};
      check(staged.end <= plan_.arena_bytes, "a staged copy ends outside of the arena");
      for (const Range& other : staged_) check(!staged.overlaps(other), "staged copies overlap");
      staged_.push_back(staged);
      overwrite(staged);
    }
    for (const Plan::Copy& copy : plan_.copies) {
      if (copy.to.kind == Kind::output) continue;
      check(copy.to.kind == Kind::state, "only outputs and State are moved to");
      if (!copy.staging) needs(copy.from, "is moved");
      overwrite(range(copy.to, copy.bytes));
    }
  }

  void ending() const {
    const auto moved = [&](ValueId id, const Place& to) {
      return std::ranges::any_of(plan_.copies, [&](const Plan::Copy& copy) {
        return copy.from == storage_of(graph_, id) && copy.bytes == bytes(id) && copy.to.kind == to.kind &&
               copy.to.index == to.index;
      });
    };
    const auto is_at = [&](ValueId id, const Place& to) {
      const ValueId whole = storage_of(graph_, id);
      const Place& place = plan_.places[whole];
      return made_[whole] && bytes(whole) == bytes(id) && place.kind == to.kind && place.index == to.index;
    };
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const Place to{Kind::output, i};
      check(is_at(graph_.outputs[i], to) || moved(graph_.outputs[i], to), "output ", i, " isn't there");
    }
    for (std::size_t s = 0; s < plan_.states.size(); ++s) {
      const State& state = plan_.states[s];
      const Place to{Kind::state, s};
      const auto update = std::ranges::find(graph_.updates, state, &Update::state);
      if (update != graph_.updates.end()) {
        check(is_at(update->value, to) || moved(update->value, to), "the new ", state.name(), " isn't there");
        continue;
      }
      for (ValueId id = 0; id < graph_.size(); ++id) {
        const bool is_old = &graph_.op(id) == &language::state && plan_.places[id].index == s;
        check(!is_old || made_[id], state.name(), " has no update and was overwritten");
      }
    }
  }

  const Graph& graph_;
  const Plan& plan_;
  PlanOptions options_;
  std::size_t task_ = 0;
  std::vector<bool> made_;  // by value: it is in its place
  std::vector<Range> staged_{};
};

}  // namespace

void check_plan(const Graph& graph, const Plan& plan, const PlanOptions& options) {
  Walk(graph, plan, options).run();
}

}  // namespace tapestry::test
