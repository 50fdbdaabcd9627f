// Graph as Boost.Graph sees it: a VertexListGraph and BidirectionalGraph whose edges run from operand to
// user, so BGL's algorithms apply: searches over reverse_graph for gradient slices, topological orders,
// write_graphviz.
#pragma once

#include <tapestry/core/graph.hpp>

#include <utility>

#include <boost/graph/graph_traits.hpp>
#include <boost/graph/properties.hpp>
#include <boost/iterator/counting_iterator.hpp>
#include <boost/iterator/iterator_facade.hpp>
#include <boost/property_map/property_map.hpp>

namespace tapestry {

/// Walks the chain of uses of one value.
class UseIterator : public boost::iterator_facade<UseIterator, const EdgeId, boost::forward_traversal_tag> {
 public:
  UseIterator() = default;
  UseIterator(const Graph& graph, EdgeId edge) : graph_(&graph), edge_(edge) {}

 private:
  friend class boost::iterator_core_access;
  const EdgeId& dereference() const { return edge_; }
  bool equal(const UseIterator& other) const { return edge_ == other.edge_; }
  void increment() { edge_ = graph_->edges()[edge_].next_use; }

  const Graph* graph_ = nullptr;
  EdgeId edge_ = kNone;
};

}  // namespace tapestry

namespace boost {

template <>
struct graph_traits<tapestry::Graph> {
  using vertex_descriptor = tapestry::ValueId;
  using edge_descriptor = tapestry::EdgeId;
  using directed_category = bidirectional_tag;
  using edge_parallel_category = allow_parallel_edge_tag;
  struct traversal_category : bidirectional_graph_tag, vertex_list_graph_tag, edge_list_graph_tag {};
  using vertex_iterator = counting_iterator<tapestry::ValueId>;
  using edge_iterator = counting_iterator<tapestry::EdgeId>;
  using in_edge_iterator = counting_iterator<tapestry::EdgeId>;
  using out_edge_iterator = tapestry::UseIterator;
  using vertices_size_type = std::uint32_t;
  using edges_size_type = std::uint32_t;
  using degree_size_type = std::uint32_t;
  static vertex_descriptor null_vertex() { return tapestry::kNone; }
};

template <>
struct property_map<tapestry::Graph, vertex_index_t> {
  using type = identity_property_map;
  using const_type = identity_property_map;
};

}  // namespace boost

namespace tapestry {

using GraphTraits = boost::graph_traits<Graph>;

inline std::uint32_t num_vertices(const Graph& g) { return std::uint32_t(g.size()); }
inline std::uint32_t num_edges(const Graph& g) { return std::uint32_t(g.edges().size()); }
inline std::pair<GraphTraits::vertex_iterator, GraphTraits::vertex_iterator> vertices(const Graph& g) {
  return {GraphTraits::vertex_iterator(0), GraphTraits::vertex_iterator(num_vertices(g))};
}
inline std::pair<GraphTraits::edge_iterator, GraphTraits::edge_iterator> edges(const Graph& g) {
  return {GraphTraits::edge_iterator(0), GraphTraits::edge_iterator(num_edges(g))};
}
inline ValueId source(EdgeId e, const Graph& g) { return g.edges()[e].input; }
inline ValueId target(EdgeId e, const Graph& g) { return g.edges()[e].user; }
inline std::pair<GraphTraits::in_edge_iterator, GraphTraits::in_edge_iterator> in_edges(ValueId v,
                                                                                        const Graph& g) {
  const EdgeId first = g.node(v).first_edge;
  return {GraphTraits::in_edge_iterator(first), GraphTraits::in_edge_iterator(first + g.node(v).arity)};
}
inline std::pair<UseIterator, UseIterator> out_edges(ValueId v, const Graph& g) {
  return {UseIterator(g, g.node(v).first_use), UseIterator(g, kNone)};
}
inline std::uint32_t in_degree(ValueId v, const Graph& g) { return g.node(v).arity; }
inline std::uint32_t out_degree(ValueId v, const Graph& g) {
  const auto [first, last] = out_edges(v, g);
  return std::uint32_t(std::distance(first, last));
}
inline std::uint32_t degree(ValueId v, const Graph& g) { return in_degree(v, g) + out_degree(v, g); }
inline boost::identity_property_map get(boost::vertex_index_t, const Graph&) { return {}; }
inline ValueId get(boost::vertex_index_t, const Graph&, ValueId v) { return v; }

}  // namespace tapestry
