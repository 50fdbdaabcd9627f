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
    if (!kept[id] || !(graph.op(id).pointwise || graph.op(id).view)) continue;
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
      if (node.op->name == "cast" && from.dtype() == DType::bf16) return from;
      // A view of what is cast, so that what all its views show is stored once.
      if (node.op->view && node.arity == 1) {
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
        if (!is_heavy(g, id)) return std::nullopt;
        const Node& node = g.node(id);
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
