#include <tapestry/core/compile/fuse.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <unordered_map>

namespace tapestry {
namespace {

using kernels::Lane;
using kernels::Loop;

// Beyond this many operands a loop runs out of streams that the hardware prefetches, and out of L1.
constexpr std::size_t kMostInputs = 24;
constexpr std::size_t kMostInstructions = 96;

bool is_leaf(const Graph& graph, ValueId id) {
  const Op* op = &graph.op(id);
  return op == &language::input || op == &language::constant || op == &language::state;
}

class Grouping {
 public:
  Grouping(const Graph& graph, bool fuse)
      : graph_(graph), fuse_(fuse), group_of_(graph.size(), kNone), loops_(graph.size()) {}

  Groups run() {
    for (ValueId id = 0; id < graph_.size(); ++id) {
      if (!is_leaf(graph_, id) && !graph_.op(id).view) place(id);
    }
    if (fuse_) merge_down();
    std::erase_if(groups_, [](const Group& group) { return group.nodes.empty(); });
    return {std::move(groups_), std::move(loops_)};
  }

 private:
  void place(ValueId id) {
    const Node& node = graph_.node(id);
    if (node.op->loop) {
      std::vector<Type> types;
      for (const ValueId input : graph_.inputs(id)) types.push_back(graph_.type(input));
      loops_[id] = node.op->loop(types, node.type, node.attrs);
    }
    std::uint32_t target = loops_[id] && fuse_ ? find_group(id) : kNone;
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
    group.nodes.push_back(id);
    group_of_[id] = target;
    if (loops_[id]) group.instructions += std::max<std::size_t>(loops_[id]->code.size(), 1);
    for (const ValueId input : graph_.inputs(id)) {
      if (group_of_[storage_of(graph_, input)] == target) continue;
      if (group.inputs.insert(input).second) readers_[input].push_back(target);
    }
  }

  /// Groups run in order of creation. So a node may join any group no earlier than those that make its
  /// operands, and the group that makes an operand itself if it makes it element by element.
  std::uint32_t find_group(ValueId id) {
    std::uint32_t earliest = 0;
    for (const ValueId input : graph_.inputs(id)) {
      const ValueId storage = storage_of(graph_, input);
      const std::uint32_t maker = group_of_[storage];
      if (maker != kNone) earliest = std::max(earliest, hands_over(input, id) ? maker : maker + 1);
    }
    // Joining pays where memory is shared: with the maker of an operand or with another reader of one.
    std::uint32_t best = kNone;
    const auto consider = [&](std::uint32_t g) {
      if (g != kNone && g >= earliest && g < best && fits(groups_[g], id)) best = g;
    };
    for (const ValueId input : graph_.inputs(id)) {
      consider(group_of_[storage_of(graph_, input)]);
      if (graph_.type(input).shape.elements() == 1) continue;  // everybody reads scalars
      if (const auto it = readers_.find(input); it != readers_.end()) {
        // The last few are enough; a value that thousands read would make this quadratic.
        for (std::size_t i = it->second.size(), n = 0; i-- > 0 && n < 8; ++n) consider(it->second[i]);
      }
    }
    return best;
  }

  /// A node is placed before those that use it are known. So afterwards each loop moves down into the first
  /// one that uses its values, where that takes them as it goes: v' = 0.9 v waits for the sum it is a part
  /// of.
  void merge_down() {
    for (std::uint32_t g = std::uint32_t(groups_.size()); g-- > 0;) {
      if (!groups_[g].is_loop) continue;
      std::uint32_t first = kNone;
      for (const ValueId id : groups_[g].nodes) {
        for_each_user(id, [&](ValueId user) {
          if (group_of_[user] != g) first = std::min(first, group_of_[user]);
        });
      }
      if (first != kNone && can_move(g, first)) move(g, first);
    }
  }

  /// The nodes that read the memory of `id`, directly or as a view.
  template <class F>
  void for_each_user(ValueId id, F f) const {
    for (EdgeId e = graph_.node(id).first_use; e != kNone; e = graph_.edges()[e].next_use) {
      const ValueId user = graph_.edges()[e].user;
      if (graph_.op(user).view) {
        for_each_user(user, f);
      } else if (group_of_[user] != kNone) {
        f(user);
      }
    }
  }

  bool can_move(std::uint32_t from, std::uint32_t to) const {
    const Group& a = groups_[from];
    const Group& b = groups_[to];
    if (!b.is_loop || a.lane != b.lane || a.extents != b.extents ||
        a.inputs.size() + b.inputs.size() > kMostInputs ||
        a.instructions + b.instructions > kMostInstructions) {
      return false;
    }
    bool all = true;
    for (const ValueId id : a.nodes) {
      for_each_user(id, [&](ValueId user) { all = all && (group_of_[user] != to || hands_over(id, user)); });
    }
    return all;
  }

  void move(std::uint32_t from, std::uint32_t to) {
    Group& a = groups_[from];
    Group& b = groups_[to];
    for (const ValueId id : a.nodes) {
      group_of_[id] = to;
      b.inputs.erase(id);
    }
    b.inputs.merge(a.inputs);
    b.instructions += a.instructions;
    b.nodes.insert(b.nodes.end(), a.nodes.begin(), a.nodes.end());
    std::ranges::sort(b.nodes);
    a = {};
  }

  /// Can `user` in the same loop take `input` from a register?
  bool hands_over(ValueId input, ValueId user) const {
    return loops_[input] && loops_[user] && reads_directly(user, input) && streams(input) &&
           !converts(input) && reads_each_once(user, input);
  }

  /// Not through a view: that reads memory.
  bool reads_directly(ValueId user, ValueId input) const {
    return std::ranges::none_of(graph_.inputs(user), [&](ValueId operand) {
      return operand != input && storage_of(graph_, operand) == input;
    });
  }

  bool streams(ValueId id) const { return loops_[id]->outputs.front().reduce == kernels::Reduce::none; }

  /// Values of a dtype that is not the register's become so when they are stored: 1.9 becomes 1, and 200 +
  /// 100 of u8 becomes 44, in memory only. Truth values are 0 or 1 in any register, unless they are cast.
  /// (bf16 is f32 in registers by design: what is computed in one loop is rounded less often.)
  bool converts(ValueId id) const {
    const Loop& loop = *loops_[id];
    const DType dtype = loop.outputs.front().dtype;
    const DType held[] = {DType::f32, DType::f64, DType::i64};  // by lane
    const bool fits =
        dtype == held[std::size_t(loop.lane)] || (dtype == DType::bf16 && loop.lane == Lane::f32);
    const bool cast = loop.code.size() == 1 && loop.code.front().code == kernels::Code::copy;
    return !fits && (cast || dtype != DType::boolean);
  }

  /// Does `user` read `input` at the very element it computes?
  bool reads_each_once(ValueId user, ValueId input) const {
    return graph_.type(input).shape == loops_[user]->extents;
  }

  bool fits(const Group& group, ValueId id) const {
    const Loop& loop = *loops_[id];
    return group.is_loop && group.lane == loop.lane && group.extents == loop.extents &&
           group.inputs.size() + loop.inputs.size() <= kMostInputs &&
           group.instructions + loop.code.size() <= kMostInstructions;
  }

  const Graph& graph_;
  bool fuse_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> group_of_;
  std::vector<std::optional<Loop>> loops_;
  std::unordered_map<ValueId, std::vector<std::uint32_t>> readers_;
};

}  // namespace

ValueId storage_of(const Graph& graph, ValueId id) {
  while (graph.op(id).view) id = graph.input(id, 0);
  return id;
}

Groups group_nodes(const Graph& graph, bool fuse) { return Grouping(graph, fuse).run(); }

}  // namespace tapestry
