#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/order.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <utility>

namespace tapestry {
namespace {

/// Takes the tasks one by one: those that are ready and free memory first, else the next in order.
class EarlyFreeing {
 public:
  EarlyFreeing(const Graph& graph, std::span<const Task> tasks, const std::vector<bool>& checks)
      : graph_(graph),
        tasks_(tasks),
        checks_(checks),
        maker_(graph.size(), kNone),
        in_arena_(graph.size(), false),
        readers_(graph.size()),
        unread_(graph.size(), 0),
        waiting_(tasks.size(), 0),
        followers_(tasks.size()),
        gain_(tasks.size(), 0),
        done_(tasks.size(), false) {
    find_reads();
    find_values();
    find_dependencies();
  }

  std::vector<std::size_t> run() {
    std::vector<std::size_t> order;
    order.reserve(tasks_.size());
    std::size_t next = 0;
    for (std::size_t t = 0; t < tasks_.size(); ++t) offer(t);
    while (order.size() < tasks_.size()) {
      while (!freeing_.empty() && done_[freeing_.top().second]) freeing_.pop();
      while (next < tasks_.size() && done_[next]) ++next;
      const std::size_t t = freeing_.empty() ? next : freeing_.top().second;
      order.push_back(t);
      take(t);
    }
    return order;
  }

 private:
  void find_values() {
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      for (const ValueId id : tasks_[t].writes) {
        maker_[id] = std::uint32_t(t);
        in_arena_[id] = true;
      }
    }
    for (const ValueId root : graph_.roots()) in_arena_[storage_of(graph_, root)] = false;
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      for (const ValueId id : reads_of(t)) {
        readers_[id].push_back(std::uint32_t(t));
        ++unread_[id];
      }
      for (const ValueId id : tasks_[t].writes) gain_[t] -= bytes(id);
    }
    for (ValueId id = 0; id < graph_.size(); ++id) {
      if (unread_[id] == 1) gain_[readers_[id].front()] += bytes(id);
    }
  }

  void find_dependencies() {
    std::unordered_map<const void*, std::vector<std::size_t>> readers;  // of old values of State
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      const auto after_maker = [&](ValueId id) {
        if (maker_[id] != kNone && maker_[id] != t) after(t, maker_[id]);
      };
      for (const ValueId id : reads_of(t)) {
        after_maker(id);
        const Node& node = graph_.node(id);
        if (node.op == &language::state) readers[node.attrs.as<StateAttrs>().state.id()].push_back(t);
      }
      for (const ValueId id : tasks_[t].nodes) {
        for (const ValueId input : graph_.inputs(id)) for_each_wait(graph_, input, after_maker);
      }
      checks_left_ += checks_[t];
    }
    const auto first_commit =
        std::size_t(std::find(checks_.rbegin(), checks_.rend(), true).base() - checks_.begin());
    for (const Update& update : graph_.updates) {
      const std::uint32_t t = maker_[storage_of(graph_, update.value)];
      if (t == kNone) continue;
      if (checks_left_ > 0 && t >= first_commit) {
        ++waiting_[t];
        committing_.push_back(t);
      }
      const auto found = readers.find(update.state.id());
      if (found == readers.end()) continue;
      for (const std::size_t reader : found->second) {
        if (reader < t) after(t, reader);  // others keep the old value anyway
      }
    }
  }

  void find_reads() {
    first_read_.reserve(tasks_.size() + 1);
    for (const Task& task : tasks_) {
      const auto first = std::ptrdiff_t(reads_.size());
      first_read_.push_back(reads_.size());
      for (const ValueId id : task.reads) reads_.push_back(storage_of(graph_, id));
      std::sort(reads_.begin() + first, reads_.end());
      reads_.erase(std::unique(reads_.begin() + first, reads_.end()), reads_.end());
    }
    first_read_.push_back(reads_.size());
  }
  /// What a task reads, each value once.
  std::span<const ValueId> reads_of(std::size_t t) const {
    return std::span(reads_).subspan(first_read_[t], first_read_[t + 1] - first_read_[t]);
  }
  /// That are in the arena.
  std::int64_t bytes(ValueId id) const { return in_arena_[id] ? std::int64_t(graph_.type(id).bytes()) : 0; }

  void after(std::size_t t, std::size_t other) {
    followers_[other].push_back(t);
    ++waiting_[t];
  }
  void offer(std::size_t t) {
    if (!done_[t] && waiting_[t] == 0 && gain_[t] > 0) freeing_.emplace(gain_[t], t);
  }
  void release(std::size_t t) {
    --waiting_[t];
    offer(t);
  }

  void take(std::size_t t) {
    done_[t] = true;
    for (const ValueId id : reads_of(t)) {
      if (--unread_[id] != 1) continue;
      const auto last = std::ranges::find_if(readers_[id], [&](std::size_t r) { return !done_[r]; });
      gain_[*last] += bytes(id);
      offer(*last);
    }
    for (const std::size_t follower : followers_[t]) release(follower);
    if (checks_[t] && --checks_left_ == 0)
      std::ranges::for_each(committing_, [&](std::size_t u) { release(u); });
  }

  /// The one that frees most on top; of equals the first in order.
  struct Worse {
    bool operator()(const std::pair<std::int64_t, std::size_t>& a,
                    const std::pair<std::int64_t, std::size_t>& b) const {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    }
  };

  const Graph& graph_;
  std::span<const Task> tasks_;
  const std::vector<bool>& checks_;
  std::size_t checks_left_ = 0;
  std::vector<ValueId> reads_;           // of one task after the other
  std::vector<std::size_t> first_read_;  // by task, and the end
  // By value.
  std::vector<std::uint32_t> maker_;
  std::vector<bool> in_arena_;
  std::vector<std::vector<std::uint32_t>> readers_;
  std::vector<std::size_t> unread_;  // how many readers are left
  // By task.
  std::vector<std::size_t> waiting_;  // for how many others
  std::vector<std::vector<std::size_t>> followers_;
  std::vector<std::int64_t> gain_;  // bytes that are free after it and weren't before
  std::vector<bool> done_;

  std::vector<std::size_t> committing_;  // what waits for all checks
  std::priority_queue<std::pair<std::int64_t, std::size_t>, std::vector<std::pair<std::int64_t, std::size_t>>,
                      Worse>
      freeing_;
};

}  // namespace

std::vector<std::size_t> free_early(const Graph& graph, std::span<const Task> tasks,
                                    const std::vector<bool>& checks) {
  return EarlyFreeing(graph, tasks, checks).run();
}

}  // namespace tapestry
