#include <tapestry/core/compile/print.hpp>
#include <tapestry/core/graph_bgl.hpp>

#include <sstream>
#include <utility>

#include <boost/graph/graphviz.hpp>

namespace tapestry {
namespace {

std::string escape(const std::string& plain) {
  std::string out;
  for (const char c : plain) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string to_text(const Graph& graph, Origins origins) {
  std::ostringstream out;
  for (ValueId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    out << '%' << id << " = " << node.op->name << '(';
    const char* separator = "";
    for (const ValueId input : graph.inputs(id)) {
      out << separator << '%' << input;
      separator = ", ";
    }
    const std::string attrs = to_string(node.attrs);
    out << ')' << (attrs.empty() ? "" : " ") << attrs << " : " << node.type;
    separator = "  # ";
    if (node.scope) out << std::exchange(separator, ", ") << *node.scope;
    if (origins == Origins::layers_and_lines) out << separator << to_string(node.at);
    out << '\n';
  }
  for (const ValueId id : graph.outputs) out << "output %" << id << '\n';
  for (const Update& update : graph.updates) out << update.state.name() << " <- %" << update.value << '\n';
  return std::move(out).str();
}

std::string to_graphviz(const Graph& graph) {
  std::ostringstream out;
  boost::write_graphviz(
      out, graph,
      [&](std::ostream& o, ValueId id) {
        const bool leaf = graph.node(id).arity == 0;
        o << "[label=\"" << escape(label(graph, id)) << "\\n"
          << graph.type(id) << "\", shape=" << (leaf ? "box" : "ellipse") << ']';
      },
      [&](std::ostream& o, EdgeId edge) { o << "[tooltip=\"" << graph.type(source(edge, graph)) << "\"]"; },
      [&](std::ostream& o) { o << "rankdir=TB;\nnode [fontname=\"Helvetica\", fontsize=11];\n"; });
  // Results: what the step returns and what it leaves behind.
  std::string text = std::move(out).str();
  text.resize(text.rfind('}'));
  std::ostringstream extra;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    extra << "out" << i << " [label=\"output " << i << "\", shape=cds];\n"
          << graph.outputs[i] << " -> out" << i << ";\n";
  }
  for (std::size_t i = 0; i < graph.updates.size(); ++i) {
    extra << "up" << i << " [label=\"" << escape(graph.updates[i].state.name())
          << "\", shape=box, style=dashed];\n"
          << graph.updates[i].value << " -> up" << i << " [style=dashed];\n";
  }
  return text + std::move(extra).str() + "}\n";
}

}  // namespace tapestry
