#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/views.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <optional>
#include <unordered_map>

namespace tapestry {
namespace {

/// The first of the elements that `id` copies, if they follow one another.
std::optional<std::int64_t> run_of(const Graph& graph, ValueId id) {
  const Node& node = graph.node(id);
  if (!node.op->run_of) return {};
  return node.op->run_of(graph.type(graph.input(id, 0)), node.attrs);
}

class Chooser {
 public:
  Chooser(const Graph& graph, std::span<const Task> tasks, bool weighed)
      : graph_(graph), tasks_(tasks), weighed_(weighed) {}

  std::vector<ValueId> run() {
    find_slices();
    if (slices_.empty()) return {};
    find_uses();
    for (auto first = slices_.begin(); first != slices_.end();) {
      const auto last = std::find_if(first, slices_.end(), [&](const Slice& s) { return s.of != first->of; });
      choose({first, last});
      first = last;
    }
    std::ranges::sort(chosen_);
    return std::move(chosen_);
  }

 private:
  struct Slice {
    ValueId id;
    ValueId of;  // in whose memory it would lie, if that isn't to be a view itself
    std::size_t task;
  };

  void find_slices() {
    std::vector<bool> kept(graph_.size(), false);
    for (const ValueId root : graph_.roots()) kept[storage_of(graph_, root)] = true;
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      if (tasks_[t].loop) continue;
      const ValueId id = tasks_[t].nodes.front();
      if (!kept[id] && graph_.type(id).bytes() > 0 && run_of(graph_, id))
        slices_.push_back({id, storage_of(graph_, graph_.input(id, 0)), t});
    }
    // Those of one value together, and after those that this is a slice of.
    std::ranges::stable_sort(slices_, {}, &Slice::of);
  }

  void find_uses() {
    last_use_.assign(graph_.size(), 0);
    last_other_use_.assign(graph_.size(), 0);
    whole_.assign(graph_.size(), {});
    std::vector<std::uint32_t> maker(graph_.size(), kNone);
    std::vector<bool> is_slice(tasks_.size(), false);
    for (const Slice& slice : slices_) is_slice[slice.task] = true;
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      for (const ValueId id : tasks_[t].writes) {
        maker[id] = std::uint32_t(t);
        last_use_[id] = last_other_use_[id] = t;
        whole_[id].bytes = graph_.type(id).bytes();
      }
      for (const ValueId read : tasks_[t].reads) {
        const ValueId id = storage_of(graph_, read);
        last_use_[id] = t;
        if (!is_slice[t]) last_other_use_[id] = t;
      }
    }
    for (ValueId id = 0; id < graph_.size(); ++id) whole_[id].id = id;
    // These have a place of their own.
    for (const ValueId root : graph_.roots()) whole_[storage_of(graph_, root)].bytes = 0;
    for (const Update& update : graph_.updates) {
      const std::uint32_t t = maker[storage_of(graph_, update.value)];
      if (t != kNone) written_[update.state.id()] = t;
    }
  }

  /// The task that may overwrite it, if it is the old value of a State.
  std::size_t overwritten(ValueId id) const {
    const Node& node = graph_.node(id);
    if (node.op != &language::state) return tasks_.size();
    const auto found = written_.find(node.attrs.as<StateAttrs>().state.id());
    return found == written_.end() ? tasks_.size() : found->second;
  }

  /// Slices of one value: as views those that are done with first, the others copied.
  void choose(std::span<Slice> slices) {
    const Whole whole = whole_[slices.front().of];
    const std::size_t end = overwritten(whole.id);
    const auto copies = std::ranges::partition(slices, [&](const Slice& s) { return last_use_[s.id] < end; });
    const std::span<Slice> views(slices.begin(), copies.begin());
    std::ranges::sort(views, {}, [&](const Slice& s) { return std::pair(last_use_[s.id], s.id); });

    // When the whole is read for the last time but by views.
    std::size_t read = std::max(last_other_use_[whole.id], last_other_use_[slices.front().of]);
    for (const Slice& s : copies) read = std::max(read, s.task);
    double copied = 0, least = 0;
    std::size_t best = views.size(), best_end = 0;
    for (std::size_t count = views.size();; --count) {
      const std::size_t last = count > 0 ? std::max(read, last_use_[views[count - 1].id]) : read;
      const double cost = copied + double(whole.bytes) * double(last);
      if (count == views.size() || cost < least) {
        least = cost;
        best = count;
        best_end = last;
      }
      if (count == 0 || !weighed_) break;
      const Slice& s = views[count - 1];
      copied += double(graph_.type(s.id).bytes()) * double(last_use_[s.id] + 1 - s.task);
      read = std::max(read, s.task);
    }
    last_other_use_[whole.id] = best_end;
    for (const Slice& s : views.first(best)) {
      chosen_.push_back(s.id);
      whole_[s.id] = whole;
    }
  }

  const Graph& graph_;
  std::span<const Task> tasks_;
  bool weighed_;
  std::vector<Slice> slices_;
  std::vector<ValueId> chosen_;
  std::unordered_map<const void*, std::size_t> written_;  // by State: the task that makes its new value
  // By value.
  std::vector<std::size_t> last_use_, last_other_use_;  // the other is by what is no slice
  struct Whole {
    ValueId id = kNone;
    std::size_t bytes = 0;  // of the arena
  };
  std::vector<Whole> whole_;  // in whose memory it lies: itself, but for views
};

}  // namespace

std::vector<ValueId> slices_to_view(const Graph& graph, std::span<const Task> tasks, bool weighed) {
  return Chooser(graph, tasks, weighed).run();
}

std::size_t view_offset(const Graph& graph, ValueId id) {
  const auto first = run_of(graph, id);
  return first ? std::size_t(*first) * size_of(graph.type(id).dtype) : 0;
}

}  // namespace tapestry
