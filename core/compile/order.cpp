#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/order.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace tapestry {
namespace {

// What updates share (powers of a decay rate, a learning rate) is computed before them, wherever that is.
constexpr std::size_t kSmall = 64;

class Order {
 public:
  Order(const Graph& graph, const std::vector<Task>& tasks, std::size_t checks)
      : graph_(graph), tasks_(tasks), checks_(checks), state_of_(graph.size(), nullptr) {
    for (const Update& update : graph.updates) {
      state_of_[storage_of(graph, update.value)] = update.state.id();
    }
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      for (const ValueId id : tasks[t].writes) maker_.emplace(id, t);
      for (const ValueId id : tasks[t].reads) {
        if (const void* state = state_read(id)) readers_[state].push_back(t);
      }
    }
  }

  /// By task: the one after which it is to run, or itself, where it was.
  std::vector<std::size_t> run() {
    after_.resize(tasks_.size());
    for (std::size_t t = 0; t < tasks_.size(); ++t) after_[t] = updates(t) || is_small(t) ? earliest(t) : t;
    return std::move(after_);
  }

 private:
  const void* state_read(ValueId id) const {
    const Node& node = graph_.node(storage_of(graph_, id));
    return node.op == &language::state ? node.attrs.as<StateAttrs>().state.id() : nullptr;
  }
  /// Is all that it writes new values of State?
  bool updates(std::size_t t) const {
    return std::ranges::all_of(tasks_[t].writes, [&](ValueId id) { return state_of_[id] != nullptr; });
  }
  bool is_small(std::size_t t) const {
    std::size_t bytes = 0;
    for (const ValueId id : tasks_[t].writes) bytes += graph_.type(id).bytes();
    return tasks_[t].loop && bytes <= kSmall && tasks_[t].loop->extents.elements() <= std::int64_t(kSmall);
  }

  std::size_t earliest(std::size_t t) const {
    std::size_t last = 0;
    const auto comes_after = [&](ValueId id) {
      if (const auto it = maker_.find(id); it != maker_.end() && it->second != t)
        last = std::max(last, after_[it->second]);
    };
    for (const ValueId id : tasks_[t].reads) comes_after(storage_of(graph_, id));
    for (const ValueId id : tasks_[t].nodes) {
      for (const ValueId input : graph_.inputs(id)) for_each_wait(graph_, input, comes_after);
    }
    for (const ValueId id : tasks_[t].writes) {
      if (!state_of_[id]) continue;
      if (checks_ > 0) last = std::max(last, checks_ - 1);
      const auto readers = readers_.find(state_of_[id]);
      if (readers == readers_.end()) continue;
      for (const std::size_t reader : readers->second) {
        if (reader > t) return t;  // it keeps the old value anyway
        if (reader < t) last = std::max(last, after_[reader]);
      }
    }
    return std::min(last, t);
  }

  const Graph& graph_;
  const std::vector<Task>& tasks_;
  std::size_t checks_;
  std::vector<const void*> state_of_;  // by value: the State whose new value lies there
  std::unordered_map<ValueId, std::size_t> maker_;
  std::unordered_map<const void*, std::vector<std::size_t>> readers_;  // of old values
  std::vector<std::size_t> after_;
};

}  // namespace

std::vector<Task> update_early(const Graph& graph, std::vector<Task> tasks, std::size_t checks) {
  if (graph.updates.empty()) return tasks;
  const std::vector<std::size_t> after = Order(graph, tasks, checks).run();
  std::vector<std::size_t> order(tasks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Those that run after the same task keep their order, and come after it.
  std::ranges::stable_sort(order, {}, [&](std::size_t t) { return after[t]; });
  std::vector<Task> sorted;
  sorted.reserve(tasks.size());
  for (const std::size_t t : order) sorted.push_back(std::move(tasks[t]));
  return sorted;
}

}  // namespace tapestry
