#include <tapestry/core/differentiate.hpp>
#include <tapestry/core/graph_bgl.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <boost/graph/depth_first_search.hpp>
#include <boost/graph/reverse_graph.hpp>
#include <boost/property_map/property_map.hpp>

namespace tapestry {
namespace {

/// See RuleOverride.
thread_local struct {
  const Op* op = nullptr;
  const Op* stand_in = nullptr;
} overridden;

using Cotangents = std::unordered_map<ValueId, Var>;

/// What lies between a result and the values it is differentiated by.
struct Extent {
  ValueId first;             // nothing before it can matter
  bool through_wrt = false;  // may a path to one wrt lead through another?
};

/// The nodes on paths from `wrt` to results `ys`, their side first.
std::vector<ValueId> reverse_slice(const Graph& graph, std::span<const ValueId> ys, std::span<const Var> wrt,
                                   Extent extent) {
  std::unordered_map<ValueId, bool> active;  // does it depend on wrt?
  for (const Var& x : wrt) active.emplace(x.id(), true);

  // A colour map that grows with the slice, not with the tape: differentiating a composed op touches only its
  // own definition.
  std::unordered_map<ValueId, boost::default_color_type> colors;
  const boost::associative_property_map color_map(colors);
  const auto beyond = [&](ValueId v, const auto&) {
    return v < extent.first || (!extent.through_wrt && active.contains(v));
  };
  for (const ValueId y : ys) {
    if (colors.contains(y)) continue;
    boost::depth_first_visit(boost::make_reverse_graph(graph), y, boost::default_dfs_visitor(), color_map,
                             beyond);
  }

  std::vector<ValueId> slice;
  slice.reserve(colors.size());
  for (const auto& [id, color] : colors) slice.push_back(id);
  std::ranges::sort(slice);
  for (const ValueId id : slice) {
    if (active.contains(id) || id < extent.first) continue;
    const auto depends = [&](ValueId input) {
      const auto it = active.find(input);
      return it != active.end() && it->second;
    };
    if (std::ranges::any_of(graph.inputs(id), depends)) active.emplace(id, true);
  }
  std::erase_if(slice, [&](ValueId id) { return !active.contains(id); });
  std::ranges::reverse(slice);
  return slice;
}

void accumulate(Cotangents& cotangents, const Var& x, const Var& g) {
  const Var fitted = language::fit(g, x.shape());
  const auto [it, fresh] = cotangents.emplace(x.id(), fitted);
  if (!fresh) it->second = language::add(it->second, fitted);
}

/// From the cotangents of `ys`, which are in `out`, to those of `wrt`.
void pull_back(Tape& tape, std::span<const ValueId> ys, std::span<const Var> wrt, Extent extent,
               Cotangents& out);

/// Hands the cotangent of one node on to its inputs.
void pull_back_node(Tape& tape, ValueId id, const Var& g, const std::unordered_set<ValueId>& wanted,
                    Cotangents& out) {
  const Node node = tape.graph().node(id);  // a copy: rules append to the graph
  std::vector<Var> inputs;
  for (const ValueId input : tape.graph().inputs(id)) inputs.push_back(tape.at(input));
  const auto wants = [&](std::size_t i) {
    return wanted.contains(inputs[i].id()) && is_floating(inputs[i].dtype());
  };

  const Op& op = node.op == overridden.op ? *overridden.stand_in : *node.op;
  if (op.composed() && !op.vjp_each && !op.vjp[0]) {
    const auto first = ValueId(tape.graph().size());
    const Var definition = op.expand({inputs, node.attrs});
    std::vector<Var> wrt;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const auto is_same = [&](const Var& v) { return v.id() == inputs[i].id(); };
      if (wants(i) && std::ranges::none_of(wrt, is_same)) wrt.push_back(inputs[i]);
    }
    Cotangents local;
    accumulate(local, definition, g);
    const ValueId y = definition.id();
    pull_back(tape, std::span(&y, 1), wrt, {first, false}, local);
    for (const Var& x : wrt) {
      if (const auto it = local.find(x.id()); it != local.end()) accumulate(out, x, it->second);
    }
    return;
  }
  const Var y = tape.at(id);
  const Vjp vjp{inputs, y, g, node.attrs};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!wants(i)) continue;
    if (op.vjp_each) {
      accumulate(out, inputs[i], op.vjp_each(vjp, int(i)));
    } else if (i < op.vjp.size() && op.vjp[i]) {
      accumulate(out, inputs[i], op.vjp[i](vjp));
    }
  }
}

// How a region was recorded is recorded again, under this name before that of the layer.
constexpr std::string_view kAgain = "again";

std::string scope_of_gradient(const Node& node) {
  std::string_view scope = node.scope ? std::string_view(*node.scope) : "";
  if (scope.starts_with(kAgain)) scope.remove_prefix(std::min(scope.size(), kAgain.size() + 1));
  std::string name = scope.empty() ? "grad" : text("grad/", scope);
  if (node.op->composed()) name += text('/', node.op->name);
  return name;
}

/// Records a region a second time, behind a barrier: what it reads from outside is read once the cotangents
/// of its results exist, so no pass takes the second computation for the first, and none runs it early.
class Rerecording {
 public:
  Rerecording(Tape& tape, const Tape::Region& region, std::span<const ValueId> results)
      : tape_(tape), region_(region), results_(results) {
    std::vector<ValueId> pending(results.begin(), results.end());
    while (!pending.empty()) {
      const ValueId id = pending.back();
      pending.pop_back();
      if (!is_inside(id)) {
        outside_.insert(id);
      } else if (inside_.insert(id).second) {
        for (const ValueId input : tape.graph().inputs(id)) pending.push_back(input);
      }
    }
  }

  void run(std::span<const Var> cotangents) {
    std::vector<Var> signals(cotangents.begin(), cotangents.end());
    for (const ValueId id : results_) signals.push_back(tape_.at(id));
    for (const ValueId id : outside_) {
      const Node node = tape_.graph().node(id);
      if (node.op == &language::constant) continue;
      const Scope scope(tape_, again(node), node.at);
      image_.emplace(id, language::wait_for(signals, tape_.at(id)));
    }
    const std::vector<Tape::Region> regions(tape_.regions().begin(), tape_.regions().end());
    auto nested = std::ranges::lower_bound(regions, region_.first, std::less(), &Tape::Region::end);
    for (const ValueId id : inside_) copy(id);
    // Regions within are so again.
    for (; nested != regions.end() && nested->end <= region_.end; ++nested) {
      if (nested->first < region_.first || (nested->first == region_.first && nested->end == region_.end))
        continue;
      const auto first = inside_.lower_bound(nested->first), end = inside_.lower_bound(nested->end);
      if (first == end) continue;
      tape_.recompute_for_gradients({image(*first).id(), image(*std::prev(end)).id() + 1});
    }
  }

  /// What a value inside or outside is in the second computation.
  Var image(ValueId id) const {
    const auto it = image_.find(id);
    return it == image_.end() ? tape_.at(id) : it->second;
  }
  const std::set<ValueId>& inside() const { return inside_; }
  const std::set<ValueId>& outside() const { return outside_; }

 private:
  // Leaves are there anyway.
  bool is_inside(ValueId id) const { return id >= region_.first && tape_.graph().node(id).arity > 0; }
  static std::string again(const Node& node) {
    return node.scope ? text(kAgain, '/', *node.scope) : std::string(kAgain);
  }
  void copy(ValueId id) {
    const Node node = tape_.graph().node(id);
    std::vector<Var> inputs;
    for (const ValueId input : tape_.graph().inputs(id)) inputs.push_back(image(input));
    const Scope scope(tape_, again(node), node.at);
    image_.emplace(id, tape_.append(*node.op, inputs, node.attrs, node.at));
  }

  Tape& tape_;
  Tape::Region region_;
  std::span<const ValueId> results_;
  std::set<ValueId> inside_, outside_;
  std::unordered_map<ValueId, Var> image_;
};

/// Hands the cotangents of a region's results on to what it read from outside, by way of a second recording
/// of it.
void pull_back_region(Tape& tape, const Tape::Region& region, std::span<const ValueId> results,
                      std::span<const Var> wrt, const std::unordered_set<ValueId>& wanted, Cotangents& out) {
  Rerecording again(tape, region, results);
  std::vector<Var> cotangents;
  for (const ValueId id : results) cotangents.push_back(out.at(id));
  const auto first = ValueId(tape.graph().size());
  again.run(cotangents);

  // Sums go on from what they are so far, in the order they would have without a region.
  Cotangents local;
  std::vector<std::pair<ValueId, Var>> ends;  // outside or wrt, and what stands for them
  const auto note = [&](ValueId id) {
    if (!wanted.contains(id) || !is_floating(tape.graph().type(id).dtype)) return;
    ends.emplace_back(id, again.image(id));
    if (const auto it = out.find(id); it != out.end()) local.emplace(ends.back().second.id(), it->second);
  };
  for (const ValueId id : again.outside()) note(id);
  for (const Var& x : wrt) {
    if (again.inside().contains(x.id())) note(x.id());
  }
  std::vector<ValueId> ys;
  std::vector<Var> local_wrt;
  for (const ValueId id : results) {
    ys.push_back(again.image(id).id());
    local.insert_or_assign(ys.back(), out.at(id));
    out.erase(id);
  }
  for (const auto& [id, x] : ends) local_wrt.push_back(x);
  pull_back(tape, ys, local_wrt, {first, true}, local);
  for (const auto& [id, x] : ends) {
    if (const auto it = local.find(x.id()); it != local.end()) out.insert_or_assign(id, it->second);
  }
}

void pull_back(Tape& tape, std::span<const ValueId> ys, std::span<const Var> wrt, Extent extent,
               Cotangents& out) {
  const std::vector<ValueId> slice = reverse_slice(tape.graph(), ys, wrt, extent);
  std::unordered_set<ValueId> wrt_ids;
  for (const Var& x : wrt) wrt_ids.insert(x.id());
  std::unordered_set<ValueId> wanted(slice.begin(), slice.end());
  wanted.insert(wrt_ids.begin(), wrt_ids.end());

  std::size_t next_region = tape.regions().size();  // the last that may contain what comes
  for (auto at = slice.begin(); at != slice.end(); ++at) {
    const ValueId id = *at;
    if (id < extent.first) continue;
    while (next_region > 0 && tape.regions()[next_region - 1].first > id) --next_region;
    if (next_region > 0 && id < tape.regions()[next_region - 1].end) {
      // All that uses its results has been seen.
      const Tape::Region region = tape.regions()[next_region - 1];
      std::vector<ValueId> results;
      for (; at != slice.end() && *at >= region.first; ++at) {
        if (out.contains(*at) && tape.graph().node(*at).arity > 0) results.push_back(*at);
      }
      --at;
      if (!results.empty()) pull_back_region(tape, region, results, wrt, wanted, out);
      continue;
    }
    const bool is_wrt = wrt_ids.contains(id);
    if (is_wrt && !extent.through_wrt) continue;
    const auto it = out.find(id);
    if (it == out.end()) continue;
    const Var cotangent = it->second;
    if (!is_wrt) out.erase(it);
    // The gradient of a layer is named after the layer, that of a composed op after the op; what a definition
    // adds inside stays with it.
    const Node& node = tape.graph().node(id);
    std::string name;
    if (extent.through_wrt) name = scope_of_gradient(node);
    const Scope scope(tape, name, node.at);
    pull_back_node(tape, id, cotangent, wanted, out);
  }
}

}  // namespace

RuleOverride::RuleOverride(const Op& op, const Op& stand_in)
    : hidden_op_(overridden.op), hidden_stand_in_(overridden.stand_in) {
  overridden = {&op, &stand_in};
}
RuleOverride::~RuleOverride() { overridden = {hidden_op_, hidden_stand_in_}; }

std::vector<Var> gradients(const Operand& y, std::span<const Var> wrt, std::optional<Var> cotangent) {
  const Var result = y.var();
  Tape& tape = result.tape();
  const auto name = [&](const Var& v) { return text(label(v.tape().graph(), v.id()), ' ', v.type()); };
  require(is_floating(result.dtype()), to_string(y.at()), ": gradients: ", name(result), " isn't floating");
  for (const Var& x : wrt) {
    require(&x.tape() == &tape, to_string(y.at()), ": gradients: ", name(x), " was recorded on another tape");
    require(is_floating(x.dtype()), to_string(y.at()), ": gradients: ", name(x), " isn't floating");
  }
  if (cotangent) {
    require(&cotangent->tape() == &tape, to_string(y.at()), ": gradients: the cotangent ", name(*cotangent),
            " was recorded on another tape");
    require(cotangent->type() == result.type(), to_string(y.at()), ": gradients: the cotangent is ",
            cotangent->type(), ", the result ", name(result));
  } else {
    require(result.shape().elements() == 1, to_string(y.at()), ": gradients: ", name(result),
            " isn't a scalar, so a cotangent is needed");
    const Scope scope(tape, "grad", y.at());
    cotangent = language::fit(tape.constant(1.0, result.dtype(), y.at()), result.shape());
  }

  Cotangents cotangents;
  if (!wrt.empty()) {
    const auto first = std::ranges::min(wrt, {}, &Var::id).id();
    accumulate(cotangents, result, *cotangent);
    const ValueId end = result.id();
    pull_back(tape, std::span(&end, 1), wrt, {first, true}, cotangents);
  }
  std::vector<Var> out;
  for (const Var& x : wrt) {
    const auto it = cotangents.find(x.id());
    if (it != cotangents.end()) {
      out.push_back(it->second);
    } else {
      const Scope scope(tape, "grad", y.at());
      out.push_back(language::fit(tape.constant(0.0, x.dtype(), y.at()), x.shape()));
    }
  }
  return out;
}

std::vector<Var> gradients(const Operand& y, std::span<const State> wrt, std::optional<Var> cotangent) {
  std::vector<Var> current;
  Tape& tape = y.var().tape();
  for (const State& state : wrt) {
    current.push_back(tape.read(state, y.at()));
    // Silently zero otherwise: the result was made from the old value.
    require(!tape.is_written(state) || current.back().id() < y.var().id(), to_string(y.at()),
            ": gradients: state ", state.name(),
            " was given a new value after this result was recorded; derive the gradients before");
  }
  return gradients(y, std::span<const Var>(current), cotangent);
}

Var gradient(const Operand& y, const Operand& x, std::optional<Var> cotangent) {
  const Var wrt = x.on(y.var().tape(), y.var().dtype());
  return gradients(y, std::span<const Var>(&wrt, 1), cotangent).front();
}

}  // namespace tapestry
