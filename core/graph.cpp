#include <tapestry/core/graph_bgl.hpp>

#include <algorithm>

#include <boost/graph/depth_first_search.hpp>
#include <boost/graph/reverse_graph.hpp>

namespace tapestry {

ValueId Graph::append(const Op& op, Type type, std::span<const ValueId> inputs, Attrs attrs, Location at,
                      std::shared_ptr<const std::string> scope) {
  const auto id = ValueId(nodes_.size());
  const auto first_edge = EdgeId(edges_.size());
  require(nodes_.size() < kNone && edges_.size() + inputs.size() < kNone,
          "a graph holds at most 2^32 - 1 nodes");
  for (const ValueId input : inputs) {
    Node& source = nodes_.at(input);
    edges_.push_back({input, id, source.first_use});
    source.first_use = EdgeId(edges_.size() - 1);
  }
  nodes_.push_back({&op, std::move(type), std::move(attrs), at, std::move(scope), first_edge,
                    std::uint32_t(inputs.size()), kNone, op.view});
  return id;
}

std::vector<ValueId> Graph::roots() const {
  std::vector<ValueId> roots = outputs;
  for (const Update& update : updates) roots.push_back(update.value);
  for (ValueId id = 0; id < nodes_.size(); ++id) {
    if (nodes_[id].op->must_run) roots.push_back(id);
  }
  return roots;
}

std::vector<ValueId> ancestors(const Graph& graph, std::span<const ValueId> roots) {
  std::vector<boost::default_color_type> color(graph.size(), boost::white_color);
  const auto color_map = boost::make_iterator_property_map(color.begin(), boost::identity_property_map());
  const auto reversed = boost::make_reverse_graph(graph);
  for (const ValueId root : roots) {
    if (color[root] == boost::white_color) {
      boost::depth_first_visit(reversed, root, boost::default_dfs_visitor(), color_map);
    }
  }
  std::vector<ValueId> found;
  for (ValueId id = 0; id < graph.size(); ++id) {
    if (color[id] != boost::white_color) found.push_back(id);
  }
  return found;
}

namespace {

class NameField final : public FieldVisitor {
 public:
  using FieldVisitor::operator();
  void operator()(std::string_view field, std::string_view value) override {
    if (field == "name") name = value;
  }
  void operator()(std::string_view, std::int64_t) override {}
  void operator()(std::string_view, double) override {}
  void operator()(std::string_view, bool) override {}
  void operator()(std::string_view, const Shape&) override {}
  void operator()(std::string_view, const Tensor&) override {}
  std::string name;
};

}  // namespace

std::string label(const Graph& graph, ValueId id) {
  const Node& node = graph.node(id);
  NameField field;
  if (node.arity == 0) node.attrs.visit(field);
  if (!field.name.empty()) return field.name;
  return (node.scope ? *node.scope + '/' : std::string()) + std::string(node.op->name);
}

std::string to_string(const Location& at) {
  const std::string_view path = at.file_name();
  return text(path.substr(path.rfind('/') + 1), ':', at.line());
}

}  // namespace tapestry
