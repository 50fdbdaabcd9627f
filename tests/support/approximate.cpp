#include "approximate.hpp"

#include "approximate_parts.hpp"

#include <tapestry/core/compile/passes.hpp>
#include <tapestry/core/language.hpp>
#include <tapestry/core/run/interpret.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tapestry::test {
namespace {

using approximate_parts::Fields;
using approximate_parts::fields_of;
using approximate_parts::Number;
using approximate_parts::pointwise;
using approximate_parts::reduce;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Approximate exact(const Tensor& tensor) {
  Approximate out{tensor.type(), {}, {}};
  const auto n = std::size_t(tensor.elements());
  out.value.resize(n);
  out.error.assign(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    out.value[i] = tensor.at(std::int64_t(i));
    if (!std::isfinite(out.value[i])) out.error[i] = kInfinity;
  }
  return out;
}

/// y's element i is x's element from(i), or `fill` where that is negative.
template <class From>
void moved(Approximate& y, const Approximate& x, From from, double fill = 0) {
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    const std::int64_t source = from(std::int64_t(i));
    y.value[i] = source < 0 ? fill : x.value[std::size_t(source)];
    y.error[i] = source < 0 ? 0 : x.error[std::size_t(source)];
  }
}

/// The indices of a flat row-major position.
Shape unravel(std::int64_t position, const Shape& shape) {
  Shape index = shape;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index[axis] = position % shape[axis];
    position /= shape[axis];
  }
  return index;
}
std::int64_t ravel(const Shape& index, const Shape& shape) {
  std::int64_t position = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) position = position * shape[axis] + index[axis];
  return position;
}

void slice(Approximate& y, const Approximate& x, const Fields& f) {
  const Shape &start = f.shape("start"), &step = f.shape("step");
  moved(y, x, [&](std::int64_t i) {
    Shape index = unravel(i, y.type.shape);
    for (int axis = 0; axis < index.rank(); ++axis) index[axis] = start[axis] + index[axis] * step[axis];
    return ravel(index, x.type.shape);
  });
}

void pad(Approximate& y, const Approximate& x, const Fields& f) {
  const Shape &lo = f.shape("lo"), &interior = f.shape("interior");
  moved(
      y, x,
      [&](std::int64_t i) {
        Shape index = unravel(i, y.type.shape);
        for (int axis = 0; axis < index.rank(); ++axis) {
          const std::int64_t at = index[axis] - lo[axis], step = interior[axis] + 1;
          if (at < 0 || at % step != 0 || at / step >= x.type.shape[axis]) return std::int64_t{-1};
          index[axis] = at / step;
        }
        return ravel(index, x.type.shape);
      },
      f.number("value"));
}

void concat(Approximate& y, std::span<const Approximate* const> x, const Fields& f) {
  const int axis = int(f.number("axis"));
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    Shape index = unravel(std::int64_t(i), y.type.shape);
    std::size_t part = 0;
    while (index[axis] >= x[part]->type.shape[axis]) index[axis] -= x[part++]->type.shape[axis];
    const auto from = std::size_t(ravel(index, x[part]->type.shape));
    y.value[i] = x[part]->value[from];
    y.error[i] = x[part]->error[from];
  }
}

/// Where take(shape, indices) reads for the result's index, or -1 if the index of that place isn't known.
std::int64_t taken_from(const Shape& index, const Shape& shape, const Approximate& indices, int axis) {
  Shape of_indices;
  const int more = indices.type.shape.rank();
  for (int i = 0; i < more; ++i) of_indices.push_back(index[axis + i]);
  const auto at = std::size_t(ravel(of_indices, indices.type.shape));
  if (indices.error[at] != 0) return -1;
  Shape source;
  for (int i = 0; i < shape.rank(); ++i) {
    source.push_back(i < axis ? index[i] : i == axis ? std::int64_t(indices.value[at]) : index[i - 1 + more]);
  }
  return ravel(source, shape);
}

void take(Approximate& y, const Approximate& x, const Approximate& indices, const Fields& f) {
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    const std::int64_t from =
        taken_from(unravel(std::int64_t(i), y.type.shape), x.type.shape, indices, int(f.number("axis")));
    y.value[i] = from < 0 ? 0 : x.value[std::size_t(from)];
    y.error[i] = from < 0 ? kInfinity : x.error[std::size_t(from)];
  }
}

void pick(Approximate& y, const Approximate& x, const Approximate& positions) {
  moved(y, x, [&](std::int64_t row) {
    const double position = positions.value[std::size_t(row)];
    const std::int64_t columns = x.type.shape[1];
    const bool is_there = position >= 0 && position < double(columns) && position == std::floor(position);
    return is_there ? row * columns + std::int64_t(position) : -1;
  });
}

void scatter_add(Approximate& y, std::span<const Approximate* const> x, const Fields& f) {
  y.value = x[0]->value;
  y.error = x[0]->error;
  const double u = approximate_parts::roundoff(y.type.dtype);
  for (std::size_t i = 0; i < x[2]->value.size(); ++i) {
    const std::int64_t to =
        taken_from(unravel(std::int64_t(i), x[2]->type.shape), y.type.shape, *x[1], int(f.number("axis")));
    if (to < 0) return y.error.assign(y.error.size(), kInfinity);
    const auto at = std::size_t(to);
    y.value[at] += x[2]->value[i];
    y.error[at] += x[2]->error[i] + u * (std::abs(y.value[at]) + y.error[at]);
  }
}

void matmul(Approximate& y, const Approximate& a, const Approximate& b, const Fields& f) {
  const bool row = a.type.shape.rank() == 1, column = b.type.shape.rank() == 1;
  const bool ta = f.number("transpose_a") != 0 && !row, tb = f.number("transpose_b") != 0 && !column;
  const auto matrix = [](const Shape& s, bool is_row, bool is_column) {
    return is_row ? Shape{1, s[0]} : is_column ? Shape{s[0], 1} : s;
  };
  const Shape sa = matrix(a.type.shape, row, false), sb = matrix(b.type.shape, false, column);
  const auto batch_of = [](const Shape& s) { return Shape(std::span(s.begin(), s.size() - 2)); };
  const Shape ba = batch_of(sa), bb = batch_of(sb), batch = *broadcast(ba, bb);
  const std::int64_t ra = sa[sa.rank() - 2], ca = sa.back(), rb = sb[sb.rank() - 2], cb = sb.back();
  const std::int64_t m = ta ? ca : ra, k = ta ? ra : ca, n = tb ? rb : cb;
  // bf16 is added up in f32, and rounded once.
  const bool half = a.type.dtype == DType::bf16;
  const double u = approximate_parts::roundoff(half ? DType::f32 : y.type.dtype) * double(k);
  for (std::int64_t p = 0; p < batch.elements(); ++p) {
    const Shape index = unravel(p, batch);
    const auto offset = [&](const Shape& of) {
      Shape own = of;
      for (int i = 0; i < of.rank(); ++i) own[i] = of[i] == 1 ? 0 : index[i + index.rank() - of.rank()];
      return ravel(own, of);
    };
    const std::int64_t from_a = offset(ba) * ra * ca, from_b = offset(bb) * rb * cb;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double total = 0, error = 0, size = 0;
        for (std::int64_t l = 0; l < k; ++l) {
          const auto at_a = std::size_t(from_a + (ta ? l * ca + i : i * ca + l));
          const auto at_b = std::size_t(from_b + (tb ? j * cb + l : l * cb + j));
          const double va = a.value[at_a], vb = b.value[at_b], ea = a.error[at_a], eb = b.error[at_b];
          total += va * vb;
          size += std::abs(va * vb);
          error += std::abs(va) * eb + std::abs(vb) * ea + ea * eb;
          if (half) error += approximate_parts::underflow(va, vb);
        }
        const auto to = std::size_t((p * m + i) * n + j);
        y.value[to] = total;
        y.error[to] = error + u * (size + error);
        if (y.type.dtype == DType::bf16)
          y.error[to] += approximate_parts::roundoff(DType::bf16) * (std::abs(total) + y.error[to]) + 2e-38;
      }
    }
  }
}

void iota(Approximate& y, const Fields& f) {
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    y.value[i] = double(unravel(std::int64_t(i), y.type.shape)[int(f.number("axis"))]);
    y.error[i] = approximate_parts::roundoff(y.type.dtype) * y.value[i];
  }
}

/// Random numbers are not computed with: the bits of the graph's own dtype are the value.
Approximate drawn(const Node& node, const Approximate& key) {
  Tensor given(key.type);
  for (std::size_t i = 0; i < key.value.size(); ++i) {
    given.mutable_values<std::int64_t>()[i] = std::int64_t(key.value[i]);
  }
  const ConstView view = std::as_const(given).view();
  return exact(run_op(node, {&view, 1}));
}

Approximate computed(const Node& node, std::span<const Approximate* const> x) {
  const std::string_view name = node.op->name;
  if (name.starts_with("random_")) return drawn(node, *x[0]);
  const auto n = std::size_t(node.type.shape.elements());
  Approximate y{node.type, std::vector<double>(n), std::vector<double>(n)};
  const Fields f = fields_of(node.attrs);
  const Shape& shape = node.type.shape;
  if (pointwise(name, y, x) || reduce(name, y, x, f)) return y;
  if (name == "reshape" || name == "check_labels") {
    moved(y, *x[0], [](std::int64_t i) { return i; });
  } else if (name == "permute") {
    moved(y, *x[0], [&](std::int64_t i) {
      const Shape index = unravel(i, shape), order = f.shape("order");
      Shape source = index;
      for (int axis = 0; axis < index.rank(); ++axis) source[int(order[axis])] = index[axis];
      return ravel(source, x[0]->type.shape);
    });
  } else if (name == "flip") {
    moved(y, *x[0], [&](std::int64_t i) {
      Shape index = unravel(i, shape);
      for (const std::int64_t axis : f.shape("axes"))
        index[int(axis)] = shape[int(axis)] - 1 - index[int(axis)];
      return ravel(index, shape);
    });
  } else if (name == "slice") {
    slice(y, *x[0], f);
  } else if (name == "pad") {
    pad(y, *x[0], f);
  } else if (name == "concat") {
    concat(y, x, f);
  } else if (name == "take") {
    take(y, *x[0], *x[1], f);
  } else if (name == "pick") {
    pick(y, *x[0], *x[1]);
  } else if (name == "scatter_add") {
    scatter_add(y, x, f);
  } else if (name == "matmul") {
    matmul(y, *x[0], *x[1], f);
  } else if (approximate_parts::windows(name, y, x, f)) {
  } else if (name == "iota") {
    iota(y, f);
  } else {
    fail("the differential tests' reference doesn't know ", name,
         ": add it to tests/support/approximate.cpp");
  }
  return y;
}

/// What overflows in the node's dtype, or is no number, is unknown to all that use it.
void bounded(Approximate& y) {
  if (!is_floating(y.type.dtype)) return;
  const double largest = y.type.dtype == DType::f64 ? 1e307 : 3e38;
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    if (!(std::abs(y.value[i]) + y.error[i] < largest)) y.error[i] = kInfinity;
  }
}

}  // namespace

Approximation approximate(const Graph& graph, std::span<const Tensor> arguments) {
  Approximation out{expand(graph), {}};
  const Graph& g = out.graph;
  out.values.resize(g.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) out.values[g.arguments.at(i)] = exact(arguments[i]);
  std::vector<const Approximate*> inputs;
  for (ValueId id = 0; id < g.size(); ++id) {
    const Node& node = g.node(id);
    if (node.op == &language::input) continue;
    if (node.op == &language::state) {
      out.values[id] = exact(node.attrs.as<StateAttrs>().state.value());
    } else if (const Tensor* constant = language::constant_value(g, id)) {
      out.values[id] = exact(*constant);
    } else {
      inputs.clear();
      for (const ValueId input : g.inputs(id)) inputs.push_back(&out.values[input]);
      out.values[id] = computed(node, inputs);
    }
    bounded(out.values[id]);
  }
  return out;
}

Deviation deviation(const Tensor& tensor, const Approximate& expected) {
  // Twice for the reference's own roundings, which are those of f64, and twice for what simplification does:
  // it may compute the same in another order with as many roundings.
  constexpr double kSlack = 4;
  Deviation out{0, tensor.elements(), {}};
  double worst = 1;
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    const double value = expected.value[std::size_t(i)], bound = kSlack * expected.error[std::size_t(i)];
    if (!std::isfinite(bound)) continue;
    if (bound <= 0.01 * std::max(1.0, std::abs(value))) ++out.checked;
    const double off = std::abs(tensor.at(i) - value);
    if (off <= bound) continue;
    const double times = std::isnan(off) ? kInfinity : off / bound;
    if (times < worst) continue;
    worst = times;
    out.worst =
        text("element ", i, " of ", tensor.type(), " is ", tensor.at(i), ", not ", value, " within ", bound);
  }
  return out;
}

}  // namespace tapestry::test
