#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/compile/recompute.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>

namespace tapestry {
namespace {

using kernels::Lane;
using kernels::Loop;

// Of a value, for each of which others are looked at.
constexpr std::size_t kMostReaders = 32;

bool is_leaf(const Graph& graph, ValueId id) {
  const Op* op = &graph.op(id);
  return op == &language::input || op == &language::constant || op == &language::state;
}

/// Values of a dtype that is not the register's become so when they are stored: 1.9 becomes 1, and 200 + 100
/// of u8 becomes 44, in memory only. Truth values are 0 or 1 in any register, unless they are cast. (bf16 is
/// f32 in registers by design: what is computed in one loop is rounded less often.)
bool converts(const Loop& loop) {
  const DType dtype = loop.outputs.front().dtype;
  const DType held[] = {DType::f32, DType::f64, DType::i64};  // by lane
  const bool fits = dtype == held[std::size_t(loop.lane)] || (dtype == DType::bf16 && loop.lane == Lane::f32);
  const bool cast = loop.code.size() == 1 && loop.code.front().code == kernels::Code::copy;
  return !fits && (cast || dtype != DType::boolean);
}

/// Of two groups, either of which may be none.
std::uint32_t later(std::uint32_t a, std::uint32_t b) {
  return a == kNone ? b : b == kNone ? a : std::max(a, b);
}

class Grouping {
 public:
  Grouping(const Graph& graph, bool fuse)
      : graph_(graph),
        fuse_(fuse),
        group_of_(graph.size(), kNone),
        loops_(graph.size()),
        readers_(graph.size()) {}

  Groups run() {
    for (ValueId id = 0; id < graph_.size(); ++id) {
      if (!is_leaf(graph_, id) && !graph_.is_view(id)) place(id);
    }
    if (fuse_) {
      merge_up();
      merge_down();
      merge_readers();
    }
    std::erase_if(groups_, [](const Group& group) { return group.nodes.empty(); });
    return {std::move(groups_), std::move(loops_)};
  }

 private:
  void place(ValueId id) {
    const Node& node = graph_.node(id);
    if (node.op->loop) {
      loops_[id] = node.op->loop(graph_.input_types(id), node.type, node.attrs);
    }
    auto [target, row] = loops_[id] && fuse_ ? find_group(id) : Target{};
    if (target == kNone) {
      target = std::uint32_t(groups_.size());
      groups_.emplace_back();
      if (loops_[id]) {
        groups_.back().is_loop = true;
        groups_.back().extents = loops_[id]->extents;
        groups_.back().lane = loops_[id]->lane;
      }
    }
    Group& group = groups_[target];
    group.row = row;
    group.nodes.push_back(id);
    group_of_[id] = target;
    if (loops_[id]) group.instructions += std::max<std::size_t>(loops_[id]->code.size(), 1);
    for (const ValueId input : graph_.inputs(id)) {
      if (group_of_[storage_of(graph_, input)] == target) continue;
      if (group.inputs.insert(input)) readers_[input].push_back(target);
    }
    for (const ValueId input : graph_.inputs(id)) {
      for_each_wait(graph_, input, [&](ValueId other) { group.waits.insert(other); });
    }
  }

  struct Target {
    std::uint32_t group = kNone;
    int row = kNoRows;  // of the group, once joined
  };

  /// Groups run in order of creation. So a node may join any group after those that make its operands, and
  /// the last of these itself if it hands them over.
  Target find_group(ValueId id) const {
    std::uint32_t last_maker = kNone;
    const auto comes_after = [&](ValueId other) { last_maker = later(last_maker, group_of_[other]); };
    for (const ValueId input : graph_.inputs(id)) {
      comes_after(storage_of(graph_, input));
      for_each_wait(graph_, input, comes_after);
    }
    // Joining pays where memory is shared: with the maker of an operand or with another reader of one.
    Target best;
    const auto consider = [&](std::uint32_t g) {
      if (g == kNone || (last_maker != kNone && g < last_maker) || g >= best.group) return;
      if (const std::optional<int> row = row_if_joined(g, id)) best = {g, *row};
    };
    for (const ValueId input : graph_.inputs(id)) {
      consider(group_of_[storage_of(graph_, input)]);
      if (graph_.type(input).shape.elements() == 1) continue;  // everybody reads scalars
      // The last few are enough; a value that thousands read would make this quadratic.
      const std::vector<std::uint32_t>& readers = readers_[input];
      for (std::size_t i = readers.size(), n = 0; i-- > 0 && n < 8; ++n) consider(readers[i]);
    }
    return best;
  }

  /// Where the rows of the group would start if `id` joined it (kNoRows if it wouldn't need any), or nothing
  /// if it can't.
  std::optional<int> row_if_joined(std::uint32_t g, ValueId id) const {
    const Group& group = groups_[g];
    const Loop& loop = *loops_[id];
    if (!group.is_loop || group.lane != loop.lane || group.inputs.size() + loop.inputs.size() > kMostInputs ||
        group.instructions + loop.code.size() > kMostInstructions) {
      return {};
    }
    int row = group.row;
    for (const ValueId input : graph_.inputs(id)) {
      if (group_of_[storage_of(graph_, input)] == g && !agree_on_row(storage_of(graph_, input), row))
        return {};
    }
    if (!place_in(loop, group.extents, row)) return {};
    for (const ValueId input : graph_.inputs(id)) {
      const ValueId storage = storage_of(graph_, input);
      if (group_of_[storage] == g && !hands_over(storage, id, group.extents, row)) return {};
    }
    return row;
  }

  /// What reduces rows hands over its results to a loop that has the same ones.
  bool agree_on_row(ValueId maker, int& row) const {
    const Loop& loop = *loops_[maker];
    if (loop.outputs.front().reduce == kernels::Reduce::none) return true;
    const std::optional<int> first = first_reduced(loop);
    if (!first || (row != kNoRows && row != *first)) return false;
    std::size_t bytes = loop.lane == Lane::f32 ? 4 : 8;
    for (int d = *first; d < loop.extents.rank(); ++d) bytes *= std::size_t(loop.extents[d]);
    row = *first;
    return bytes <= kernels::kMostRowBytes;
  }

  /// A node that reads no other group's values starts one of its own, and what uses it lands there. So
  /// afterwards each loop moves up into the last one that it reads from, where that hands over its values.
  void merge_up() {
    for (std::uint32_t g = 0; g < groups_.size(); ++g) {
      if (!groups_[g].is_loop) continue;
      std::uint32_t last = kNone, waits_for = kNone;
      for (const ValueId input : groups_[g].inputs) {
        last = later(last, group_of_[storage_of(graph_, input)]);
      }
      for (const ValueId other : groups_[g].waits) {
        if (group_of_[other] != g) waits_for = later(waits_for, group_of_[other]);
      }
      if (last == kNone || later(last, waits_for) != last) continue;
      if (const std::optional<int> row = row_if_merged(g, last, last, g)) move(g, last, *row);
    }
  }

  /// A node is placed before those that use it are known. So afterwards each loop moves down into the first
  /// one that uses its values, where that takes them as it goes: v' = 0.9 v waits for the sum it is a part
  /// of.
  void merge_down() {
    for (std::uint32_t g = std::uint32_t(groups_.size()); g-- > 0;) {
      if (!groups_[g].is_loop) continue;
      const std::uint32_t first = first_user(g);
      if (first == kNone) continue;
      if (const std::optional<int> row = row_if_merged(g, first, g, first)) move(g, first, *row);
    }
  }

  /// The first group that uses values of another one, or waits for them.
  std::uint32_t first_user(std::uint32_t g) const {
    std::uint32_t first = kNone;
    for (const ValueId id : groups_[g].nodes) {
      const auto note = [&](ValueId user) {
        if (group_of_[user] != g) first = std::min(first, group_of_[user]);
      };
      for_each_user(id, note, kWaiting);
    }
    return first;
  }

  /// A node joins readers of its operands as far as they are known: of sum(b) and sum(b (a - m)) the second
  /// may have begun with a. So afterwards each loop moves down to the next one that reads as large a value as
  /// it does, and the same one, if nobody uses it before.
  void merge_readers() {
    for (std::uint32_t g = std::uint32_t(groups_.size()); g-- > 0;) {
      if (!groups_[g].is_loop) continue;
      const std::uint32_t end = first_user(g);
      const std::int64_t elements = groups_[g].extents.elements();
      std::uint32_t next = kNone;
      for (const ValueId input : groups_[g].inputs) {
        if (elements == 1 || graph_.type(input).shape.elements() != elements) continue;
        if (readers_[input].size() > kMostReaders) continue;  // this would be quadratic
        for (const std::uint32_t reader : readers_[input]) {
          if (reader > g && reader < end && groups_[reader].inputs.contains(input))
            next = std::min(next, reader);
        }
      }
      if (next == kNone || groups_[next].extents != groups_[g].extents) continue;
      const std::optional<int> row = row_if_merged(g, next, g, next);
      if (row && !would_be_tight(g, next, *row)) move(g, next, *row);
    }
  }

  /// Two loops, each with long rows, may be none together: all of both would be taken apart.
  bool would_be_tight(std::uint32_t from, std::uint32_t to, int row) const {
    Group both = groups_[to];
    both.inputs.insert(groups_[from].inputs);
    both.instructions += groups_[from].instructions;
    both.row = row;
    return is_tight(both);
  }

  static constexpr bool kWaiting = true;

  /// The nodes that read the memory of `id`, directly or as a view; with kWaiting also those that wait for
  /// it.
  template <class F>
  void for_each_user(ValueId id, F f, bool waiting = false) const {
    for (EdgeId e = graph_.node(id).first_use; e != kNone; e = graph_.edges()[e].next_use) {
      const ValueId user = graph_.edges()[e].user;
      if (graph_.is_view(user)) {
        if (waiting || e == graph_.node(user).first_edge) for_each_user(user, f, waiting);
      } else if (group_of_[user] != kNone) {
        f(user);
      }
    }
  }

  /// Like row_if_joined, for all nodes of `from`, which would join `to`. One of the two is the `maker` of
  /// what the other, the `reader`, reads.
  std::optional<int> row_if_merged(std::uint32_t from, std::uint32_t to, std::uint32_t maker,
                                   std::uint32_t reader) const {
    const Group& a = groups_[from];
    const Group& b = groups_[to];
    if (!b.is_loop || a.lane != b.lane || a.inputs.size() + b.inputs.size() > kMostInputs ||
        a.instructions + b.instructions > kMostInstructions) {
      return {};
    }
    int row = b.row;
    if (a.row != kNoRows) {
      if (a.extents != b.extents || (row != kNoRows && row != a.row)) return {};
      row = a.row;
    }
    bool possible = true;
    const auto for_each_handover = [&](auto f) {
      for (const ValueId id : groups_[maker].nodes) {
        for_each_user(id, [&](ValueId user) {
          if (group_of_[user] == reader) possible = possible && f(id, user);
        });
      }
    };
    for_each_handover([&](ValueId id, ValueId) { return agree_on_row(id, row); });
    for (const ValueId id : a.nodes) possible = possible && place_in(*loops_[id], b.extents, row);
    for_each_handover([&](ValueId id, ValueId user) { return hands_over(id, user, b.extents, row); });
    return possible ? std::optional(row) : std::nullopt;
  }

  void move(std::uint32_t from, std::uint32_t to, int row) {
    Group& a = groups_[from];
    Group& b = groups_[to];
    for (const ValueId id : a.nodes) {
      group_of_[id] = to;
      b.inputs.erase(id);
    }
    for (const ValueId input : a.inputs) {
      if (b.inputs.insert(input)) readers_[input].push_back(to);
    }
    b.waits.insert(a.waits);
    b.instructions += a.instructions;
    b.row = row;
    b.nodes.insert(b.nodes.end(), a.nodes.begin(), a.nodes.end());
    std::ranges::sort(b.nodes);
    a = {};
  }

  bool hands_over(ValueId storage, ValueId user, const Shape& extents, int row) const {
    return tapestry::hands_over(graph_, loops_, storage, user, extents, row);
  }

  const Graph& graph_;
  bool fuse_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> group_of_;
  std::vector<std::optional<Loop>> loops_;
  std::vector<std::vector<std::uint32_t>> readers_;  // by value: groups that have it as an input
};

}  // namespace

ValueId storage_of(const Graph& graph, ValueId id) {
  while (graph.is_view(id)) id = graph.input(id, 0);
  return id;
}

std::vector<bool> stored_values(const Graph& graph, const Groups& groups) {
  std::vector<bool> stored(graph.size(), false);
  for (const ValueId root : graph.roots()) stored[storage_of(graph, root)] = true;
  for (const Group& group : groups.order) {
    for (const std::vector<ValueId>* nodes : {&group.nodes, &group.recomputed}) {
      for (const ValueId id : *nodes) {
        for (const ValueId input : graph.inputs(id)) {
          const ValueId storage = storage_of(graph, input);
          if (!group.makes(storage)) stored[storage] = true;
        }
      }
    }
  }
  return stored;
}

bool hands_over(const Graph& graph, const std::vector<std::optional<Loop>>& loops, ValueId storage,
                ValueId user, const Shape& extents, int row) {
  if (!loops[storage] || converts(*loops[storage])) return false;
  const auto made = place_in(*loops[storage], extents, row), used = place_in(*loops[user], extents, row);
  const kernels::LoopOutput& output = loops[storage]->outputs.front();
  if (!made || !used || (output.reduce != kernels::Reduce::none && made->per_row)) return false;
  const Shape at = made->strides(output.strides);
  for (std::size_t i = 0; i < loops[user]->inputs.size(); ++i) {
    if (storage_of(graph, graph.input(user, int(i))) != storage) continue;
    if (!same_walk(extents, at, used->strides(loops[user]->inputs[i].strides))) return false;
  }
  return true;
}

Groups group_nodes(const Graph& graph, bool fuse) { return Grouping(graph, fuse).run(); }

}  // namespace tapestry
