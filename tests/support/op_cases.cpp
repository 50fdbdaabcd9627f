#include "op_cases.hpp"

#include <tapestry/core/random.hpp>
#include <tapestry/core/registry.hpp>

#include <algorithm>
#include <optional>

namespace tapestry::test {
namespace {

Random next_stream() {
  static std::uint64_t stream = 0;
  return Random(20, ++stream);
}

/// What the attributes say about axes.
class AxesOf final : public FieldVisitor {
 public:
  using FieldVisitor::operator();
  void operator()(std::string_view name, std::int64_t value) override {
    if (name == "axis") axes = Shape{value};
  }
  void operator()(std::string_view name, const Shape& value) override {
    if (name != "axes") return;
    axes = value;
    list = true;
  }
  void operator()(std::string_view, double) override {}
  void operator()(std::string_view, bool) override {}
  void operator()(std::string_view, std::string_view) override {}
  void operator()(std::string_view, const Tensor&) override {}

  std::optional<Shape> axes;
  bool list = false;
};

/// Extents with ones in front, up to `rank` axes.
Shape aligned(const Shape& shape, int rank) {
  Shape out = Shape::filled(rank - shape.rank(), 1);
  for (const std::int64_t extent : shape) out.push_back(extent);
  return out;
}

/// How an operand relates to a result that it is broadcast to.
struct Broadcast {
  std::vector<int> repeated, kept;
  bool is_row(int rank) const { return !repeated.empty() && std::ranges::count(kept, rank - 1); }
  bool is_column(int rank) const { return !kept.empty() && std::ranges::count(repeated, rank - 1); }
};

std::optional<Broadcast> broadcast_of(const Shape& x, const Shape& y) {
  if (x.rank() > y.rank()) return {};
  const Shape from = aligned(x, y.rank());
  Broadcast b;
  for (int axis = 0; axis < y.rank(); ++axis) {
    if (from[axis] != 1 && from[axis] != y[axis]) return {};
    if (y[axis] > 1) (from[axis] == 1 ? b.repeated : b.kept).push_back(axis);
  }
  return b;
}

void note_operand(std::set<std::string>& found, const Shape& x, const Shape& y, std::size_t i) {
  if (x.rank() == 0) found.insert("scalar");
  if (x.elements() == 0) found.insert("empty");
  if (std::ranges::count(x, 1)) found.insert("size 1");
  if (x.rank() >= 2 && x.back() > 1 && x.back() == x[x.rank() - 2]) found.insert("square");
  const auto b = broadcast_of(x, y);
  if (!b) return;
  if (b->is_row(y.rank())) found.insert(text("row ", i));
  if (b->is_column(y.rank())) found.insert(text("column ", i));
  if (b->kept.empty() && !b->repeated.empty()) found.insert(text("scalar ", i));
}

void note_pair(std::set<std::string>& found, const Shape& a, const Shape& b, const Shape& y) {
  if (a == b && a.elements() > 1) found.insert("equal shapes");
  const auto of_a = broadcast_of(a, y), of_b = broadcast_of(b, y);
  if (!of_a || !of_b) return;
  const auto share = [](const std::vector<int>& p, const std::vector<int>& q) {
    return std::ranges::any_of(p, [&](int axis) { return std::ranges::count(q, axis) > 0; });
  };
  if (share(of_a->repeated, of_b->kept) && share(of_b->repeated, of_a->kept)) found.insert("both");
}

template <class Visit>
void visit_nodes(const OpCase& c, Visit visit) {
  Tape tape;
  std::vector<Var> x;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) x.push_back(tape.input(text("x", i), c.inputs[i].type()));
  c.f(x);
  const Graph& graph = tape.graph();
  for (ValueId id = 0; id < graph.size(); ++id) {
    if (graph.is(id, c.op)) visit(graph, id);
  }
}

}  // namespace

void OpTable::add(std::string_view op, std::string_view name, CheckedFunction f, std::vector<Tensor> inputs,
                  Reference reference) {
  cases.push_back(
      {std::string(op), std::string(name), std::move(f), std::move(inputs), std::move(reference)});
}

void OpTable::edge(std::string_view op, std::string_view name, CheckedFunction f, std::vector<Tensor> inputs,
                   std::vector<std::vector<double>> gradients) {
  edges.push_back(
      {std::string(op), std::string(name), std::move(f), std::move(inputs), std::move(gradients)});
}

const OpTable& op_table() {
  static const OpTable table = [] {
    OpTable t;
    add_pointwise_cases(t);
    add_compare_cases(t);
    add_reduce_cases(t);
    add_shape_cases(t);
    add_part_cases(t);
    add_matmul_cases(t);
    add_conv_cases(t);
    add_pool_cases(t);
    add_attention_cases(t);
    add_network_cases(t);
    return t;
  }();
  return table;
}

std::vector<const OpCase*> cases_of(std::string_view op) {
  std::vector<const OpCase*> found;
  for (const OpCase& c : op_table().cases) {
    if (c.op == op) found.push_back(&c);
  }
  return found;
}

std::set<std::string> coverage(const OpCase& c) {
  std::set<std::string> found;
  visit_nodes(c, [&](const Graph& graph, ValueId id) {
    found.insert("uses the op");
    const Shape& y = graph.type(id).shape;
    std::vector<ValueId> inputs;
    for (const ValueId input : graph.inputs(id)) inputs.push_back(input);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      note_operand(found, graph.type(inputs[i]).shape, y, i);
      for (std::size_t j = 0; j < i; ++j) {
        if (inputs[i] == inputs[j]) found.insert("repeated operand");
        note_pair(found, graph.type(inputs[i]).shape, graph.type(inputs[j]).shape, y);
      }
    }
    if (inputs.empty() || c.op.starts_with("random_")) {
      if (y.elements() == 0) found.insert("empty");
      if (std::ranges::count(y, 1)) found.insert("size 1");
    }
    AxesOf visitor;
    graph.node(id).attrs.visit(visitor);
    const int rank = inputs.empty() ? y.rank() : graph.type(inputs.front()).shape.rank();
    if (!visitor.axes) return;
    found.insert("has axes");
    if (visitor.list) found.insert("takes several axes");
    if (rank >= 2 && std::ranges::count(*visitor.axes, 0)) found.insert("first axis");
    if (rank >= 2 && std::ranges::count(*visitor.axes, rank - 1)) found.insert("last axis");
    if (visitor.axes->rank() >= 2) found.insert("several axes");
  });
  return found;
}

std::vector<int> floating_operands(std::string_view op) {
  std::set<int> found;
  for (const OpCase* c : cases_of(op)) {
    visit_nodes(*c, [&](const Graph& graph, ValueId id) {
      int slot = 0;
      for (const ValueId input : graph.inputs(id)) {
        if (is_floating(graph.type(input).dtype)) found.insert(slot);
        ++slot;
      }
    });
  }
  return {found.begin(), found.end()};
}

bool differentiated(std::string_view name) {
  const Op& op = registry().at(name);
  const bool has_rule = op.vjp_each || std::ranges::any_of(op.vjp, [](auto rule) { return rule != nullptr; });
  return has_rule || (op.composed() && op.no_gradient.empty());
}

double tolerance(std::string_view op) { return registry().at(op).composed() ? 1e-5 : 1e-7; }

Tensor uniform(const Shape& shape, double lo, double hi) {
  Random random = next_stream();
  Tensor t(DType::f64, shape);
  for (double& v : t.mutable_values<double>()) v = lo + (hi - lo) * random.uniform();
  return t;
}

Tensor signed_values(const Shape& shape, double lo, double hi) {
  Random random = next_stream();
  Tensor t = uniform(shape, lo, hi);
  for (double& v : t.mutable_values<double>()) v = random.uniform() < 0.5 ? -v : v;
  return t;
}

Tensor distinct(const Shape& shape, double offset) {
  static std::uint64_t draws = 0;
  Tensor t(DType::f64, shape);
  const auto v = t.mutable_values<double>();
  const std::vector<std::int64_t> order = permutation(std::int64_t(v.size()), 21, ++draws);
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double magnitude = 0.2 + offset + 0.4 * double(order[i] / 2);
    v[i] = order[i] % 2 ? -magnitude : magnitude;
  }
  return t;
}

Tensor doubles(std::initializer_list<double> values, const Shape& shape) {
  return Tensor::from(values, shape);
}

Tensor booleans(const Shape& shape) {
  Random random = next_stream();
  Tensor t(DType::boolean, shape);
  for (bool& v : t.mutable_values<bool>()) v = random.uniform() < 0.5;
  return t;
}

Tensor labels(std::initializer_list<std::int64_t> values) {
  return Tensor::from(values, {std::int64_t(values.size())});
}

Reference elementwise(std::function<double(std::span<const double>)> value) {
  return [value = std::move(value)](std::span<const Tensor> x) {
    Shape shape;
    for (const Tensor& t : x) shape = *broadcast(shape, t.shape());
    Tensor y(DType::f64, shape);
    const auto out = y.mutable_values<double>();
    const Shape strides = strides_of(shape);
    for (std::int64_t i = 0; i < y.elements(); ++i) {
      std::vector<double> arguments;
      for (const Tensor& t : x) {
        const Shape from = aligned(t.shape(), shape.rank()), steps = strides_of(from);
        std::int64_t position = 0;
        for (int axis = 0; axis < shape.rank(); ++axis) {
          if (from[axis] != 1) position += i / strides[axis] % shape[axis] * steps[axis];
        }
        arguments.push_back(t.at(position));
      }
      out[std::size_t(i)] = value(arguments);
    }
    return y;
  };
}

void unary_cases(OpTable& t, std::string_view op, const Unary& f, const Draw& x,
                 const std::function<double(double)>& value) {
  const Reference reference =
      value ? elementwise([value](std::span<const double> v) { return value(v[0]); }) : Reference{};
  const auto call = [f](std::span<const Var> v) { return f(v[0]); };
  t.add(op, "matrix", call, {x({3, 3})}, reference);
  t.add(op, "block", call, {x({2, 1, 3})}, reference);
  t.add(op, "one element", call, {x({1})}, reference);
  t.add(op, "scalar", call, {x({})}, reference);
  t.add(op, "empty", call, {x({0, 3})}, reference);
}

void binary_cases(OpTable& t, std::string_view op, const Binary& f, const Draw& a, const Draw& b,
                  const std::function<double(double, double)>& value) {
  const Reference reference =
      value ? elementwise([value](std::span<const double> v) { return value(v[0], v[1]); }) : Reference{};
  const auto call = [f](std::span<const Var> v) { return f(v[0], v[1]); };
  struct Shapes {
    std::string_view name;
    Shape a, b;
  };
  for (const Shapes& s : std::initializer_list<Shapes>{{"equal shapes", {3, 3}, {3, 3}},
                                                       {"row, matrix", {3}, {2, 3}},
                                                       {"matrix, row", {2, 3}, {1, 3}},
                                                       {"column, matrix", {2, 1}, {2, 3}},
                                                       {"matrix, column", {2, 3}, {2, 1}},
                                                       {"scalar, matrix", {}, {2, 3}},
                                                       {"matrix, scalar", {2, 3}, {1, 1}},
                                                       {"column, row", {2, 1}, {3}},
                                                       {"row, column", {1, 3}, {2, 1}},
                                                       {"middle", {2, 1, 2}, {2, 3, 1}},
                                                       {"scalars", {}, {}},
                                                       {"size 1", {1, 1}, {1}},
                                                       {"empty", {0, 3}, {0, 3}},
                                                       {"empty by row", {0, 3}, {1, 3}},
                                                       {"empty by column", {2, 1}, {2, 0}}}) {
    t.add(op, s.name, call, {a(s.a), b(s.b)}, reference);
  }
  const Reference of_equals =
      value ? elementwise([value](std::span<const double> v) { return value(v[0], v[0]); }) : Reference{};
  t.add(
      op, "repeated operand", [f](std::span<const Var> v) { return f(v[0], v[0]); }, {a({2, 3})}, of_equals);
}

}  // namespace tapestry::test
