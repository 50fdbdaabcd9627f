#include <tapestry/core/compile/precision.hpp>
#include <tapestry/core/compile/rewrite.hpp>
#include <tapestry/core/language.hpp>

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace tapestry {
namespace {

/// By value: does it come to a State or an output through pointwise ops and views alone?
std::vector<bool> kept_values(const Graph& graph) {
  std::vector<bool> kept(graph.size(), false);
  for (const ValueId root : graph.roots()) kept[root] = true;
  for (ValueId id = ValueId(graph.size()); id-- > 0;) {
    if (!kept[id] || !(graph.op(id).pointwise || graph.is_view(id))) continue;
    for (const ValueId input : graph.inputs(id)) {
      // What is broadcast or waited for is no part of the result.
      if (graph.type(input).shape.elements() == graph.type(id).shape.elements()) kept[input] = true;
    }
  }
  return kept;
}

bool is_heavy(const Graph& graph, ValueId id) {
  const auto is_f32 = [&](ValueId value) { return graph.type(value).dtype == DType::f32; };
  return graph.op(id).with_result && is_f32(id) && std::ranges::all_of(graph.inputs(id), is_f32);
}

/// What bf16 holds exactly: x, cast from it.
std::optional<Var> source(const Var& x) {
  const Graph& graph = x.tape().graph();
  if (!graph.is(x.id(), "cast") || x.dtype() != DType::f32) return std::nullopt;
  const Var from = x.tape().at(graph.input(x.id(), 0));
  return from.dtype() == DType::bf16 ? std::optional(from) : std::nullopt;
}

/// The same choice among a heavy op's results as bf16 holds them.
std::optional<Var> chosen(Tape& tape, const Node& node, std::span<const Var> given) {
  const std::optional<Var> from = source(given[0]);
  if (!from) return std::nullopt;
  std::vector<Var> inputs(given.begin(), given.end());
  inputs[0] = *from;
  const Var made = tape.append(*node.op, inputs, node.attrs, node.at);
  return made.dtype() == DType::bf16 ? language::cast(made, DType::f32) : made;
}

/// Values on the new tape as bf16, each cast once.
class Lowered {
 public:
  Var operator()(const Var& x) {
    if (const auto it = made_.find(x.id()); it != made_.end()) return x.tape().at(it->second);
    const Var y = lower(x);
    made_.emplace(x.id(), y.id());
    return y;
  }
  std::size_t casts() const { return casts_; }

 private:
  Var lower(const Var& x) {
    Tape& tape = x.tape();
    const Node node = tape.graph().node(x.id());
    if (node.arity > 0) {
      const Var from = tape.at(tape.graph().input(x.id(), 0));
      // A heavy op's result, as bf16 holds it.
      if (const auto exact = source(x)) return *exact;
      // An element that is chosen may be rounded before.
      if (node.op->chooses && node.op->chooses(node.attrs)) {
        std::vector<Var> inputs{(*this)(from)};
        for (int i = 1; i < int(node.arity); ++i) inputs.push_back(tape.at(tape.graph().input(x.id(), i)));
        return copy_node(tape, node, inputs);
      }
      // A view of what is cast, so that what all its views show is stored once.
      if (node.view && node.arity == 1) {
        const Var inner[] = {(*this)(from)};
        return copy_node(tape, node, inner);
      }
    }
    ++casts_;
    return language::cast(x, DType::bf16);
  }

  std::unordered_map<ValueId, ValueId> made_;
  std::size_t casts_ = 0;
};

}  // namespace

Graph lower_precision(const Graph& graph, PrecisionReport* report) {
  const std::vector<bool> kept = kept_values(graph);
  Lowered lowered;
  PrecisionReport found;
  Graph result = rewrite(
      graph, [&](Tape& tape, const Graph& g, ValueId id, std::span<const Var> given) -> std::optional<Var> {
        const Node& node = g.node(id);
        if (node.op->chooses && node.op->chooses(node.attrs)) return chosen(tape, node, given);
        if (!is_heavy(g, id)) return std::nullopt;
        std::vector<Var> inputs;
        for (const Var& x : given) inputs.push_back(lowered(x));
        ++found.ops[std::string(node.op->name)];
        found.kept += kept[id];
        const DType dtype = kept[id] ? DType::f32 : DType::bf16;
        const Var made = tape.append(*node.op, inputs, node.op->with_result(node.attrs, dtype), node.at);
        return kept[id] ? made : language::cast(made, DType::f32);
      });
  found.operands = lowered.casts();
  if (report) *report = found;
  return result;
}

std::string to_string(const PrecisionReport& report) {
  std::string out = "bf16:";
  if (report.ops.empty()) return out + " nothing to cast";
  for (const auto& [name, count] : report.ops) out += text(' ', count, ' ', name, ',');
  return out + text(' ', report.operands, " operands cast, ", report.kept, " results kept in f32");
}

}  // namespace tapestry
