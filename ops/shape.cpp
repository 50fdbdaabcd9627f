#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/kernels/movement.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>

#include <algorithm>
#include <cstring>

namespace tapestry {
namespace {

using V = const Vjp&;

/// The operand of `x`, if `x` is made by `op`.
std::optional<Var> operand_of(const Var& x, const Op& op) {
  const Graph& graph = x.tape().graph();
  if (&graph.op(x.id()) != &op) return std::nullopt;
  return x.tape().at(graph.input(x.id(), 0));
}

template <class T>
const T& attrs_of(const Var& x) {
  return x.tape().graph().node(x.id()).attrs.as<T>();
}

// --- reshape ---

constexpr Op kReshape{
    .name = "reshape",
    .arity = 1,
    .type =
        [](const Signature& s) {
          const Shape& shape = s.attrs.as<ShapeAttrs>().shape;
          require_type(std::ranges::none_of(shape, [](std::int64_t n) { return n < 0; }) &&
                           shape.elements() == s.x[0].shape.elements(),
                       "can't become ", shape);
          return Type{s.x[0].dtype, shape};
        },
    .vjp = {[](V v) { return reshape(v.g, v.a().shape()); }},
    .simplify = [](const Call& c) -> std::optional<Var> {
      const Shape& shape = c.attrs.as<ShapeAttrs>().shape;
      if (c.x[0].shape() == shape) return c.x[0];
      if (const auto x = operand_of(c.x[0], kReshape)) return reshape(*x, shape);
      return std::nullopt;
    },
    .kernel = [](const KernelCall& c) { std::memcpy(c.y.data, c.x[0].data, c.y.type.bytes()); },
    .view = true};

/// `shape` with its -1, if there is one, worked out.
Shape without_unknown(const Shape& shape, std::int64_t elements) {
  const auto unknown = std::ranges::count(shape, -1);
  require_type(unknown <= 1, "only one extent of ", shape, " can be -1");
  if (unknown == 0) return shape;
  Shape wanted = shape;
  std::int64_t& extent = wanted[int(std::ranges::find(shape, -1) - shape.begin())];
  extent = 1;
  const std::int64_t known = wanted.elements();
  require_type(known > 0 && elements % known == 0, "can't become ", shape);
  extent = elements / known;
  return wanted;
}

// --- permute ---

struct PermuteAttrs {
  Shape order;  // axis i of the result is axis order[i] of x
  void fields(FieldVisitor& f) const { f("order", order); }
  bool operator==(const PermuteAttrs&) const = default;
};

/// values[order[0]], values[order[1]], ...
Shape picked(const Shape& values, const Shape& order) {
  Shape out = order;
  for (int i = 0; i < order.rank(); ++i) out[i] = values[int(order[i])];
  return out;
}

Shape inverse(const Shape& order) {
  Shape out = order;
  for (int i = 0; i < order.rank(); ++i) out[int(order[i])] = i;
  return out;
}

Shape last_two_exchanged(int rank) {
  Shape order;
  for (int i = 0; i < rank; ++i) order.push_back(i);
  std::swap(order[rank - 2], order[rank - 1]);
  return order;
}

/// Whether no element moves: only axes of extent 1 do.
bool keeps_order(const Shape& shape, const Shape& order) {
  std::int64_t last = -1;
  for (const std::int64_t axis : order) {
    if (shape[int(axis)] == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

constexpr Op kPermute{
    .name = "permute",
    .arity = 1,
    .type =
        [](const Signature& s) {
          const Shape& order = s.attrs.as<PermuteAttrs>().order;
          require_type(order.rank() == s.x[0].shape.rank(), order, " doesn't order its axes");
          return Type{s.x[0].dtype, picked(s.x[0].shape, order)};
        },
    .vjp = {[](V v) { return permute(v.g, inverse(v.attrs.as<PermuteAttrs>().order)); }},
    .simplify = [](const Call& c) -> std::optional<Var> {
      const Shape& order = c.attrs.as<PermuteAttrs>().order;
      if (keeps_order(c.x[0].shape(), order)) return reshape(c.x[0], picked(c.x[0].shape(), order));
      if (const auto x = operand_of(c.x[0], kPermute)) {
        return permute(*x, picked(attrs_of<PermuteAttrs>(c.x[0]).order, order));
      }
      return std::nullopt;
    },
    .kernel = [](const KernelCall& c) { kernels::permute(c.x[0], c.attrs.as<PermuteAttrs>().order, c.y); }};

/// The order with negative axes counted from the end.
Shape checked_order(const Shape& order, int rank) {
  Shape out;
  for (const std::int64_t axis : order) out.push_back(rules::checked_axis(int(axis), rank));
  std::vector<int> sorted(out.begin(), out.end());
  require_type(int(rules::checked_axes(Axes(sorted), rank).size()) == rank, order, " doesn't order its axes");
  return out;
}

// --- flip ---

struct FlipAttrs {
  Shape axes;  // ascending
  void fields(FieldVisitor& f) const { f("axes", axes); }
  bool operator==(const FlipAttrs&) const = default;
  Axes list() const { return Axes(std::vector<int>(axes.begin(), axes.end())); }
};

constexpr Op kFlip{
    .name = "flip",
    .arity = 1,
    .type = rules::same,
    .vjp = {[](V v) { return flip(v.g, v.attrs.as<FlipAttrs>().list()); }},
    .simplify = [](const Call& c) -> std::optional<Var> {
      // Axes of one element have nothing to reverse, and to reverse an axis twice is to leave it.
      std::vector<int> axes;
      const auto x = operand_of(c.x[0], kFlip);
      const Shape& mine = c.attrs.as<FlipAttrs>().axes;
      const Shape before = x ? attrs_of<FlipAttrs>(c.x[0]).axes : Shape();
      for (int axis = 0; axis < c.x[0].rank(); ++axis) {
        const bool reversed = std::ranges::count(mine, axis) != std::ranges::count(before, axis);
        if (reversed && c.x[0].shape()[axis] > 1) axes.push_back(axis);
      }
      const Var& from = x ? *x : c.x[0];
      if (axes.empty()) return from;
      if (!x && axes.size() == mine.size()) return std::nullopt;
      return flip(from, Axes(axes));
    },
    .kernel =
        [](const KernelCall& c) {
          const Shape& shape = c.y.type.shape;
          Shape starts = Shape::filled(shape.rank(), 0), steps = Shape::filled(shape.rank(), 1);
          for (const std::int64_t axis : c.attrs.as<FlipAttrs>().axes) {
            starts[int(axis)] = std::max<std::int64_t>(shape[int(axis)] - 1, 0);
            steps[int(axis)] = -1;
          }
          kernels::slice(c.x[0], starts, steps, c.y);
        }};

// --- broadcast_to, iota ---

constexpr Op kBroadcastTo{.name = "broadcast_to",
                          .arity = 1,
                          .type =
                              [](const Signature& s) {
                                const Shape& shape = s.attrs.as<ShapeAttrs>().shape;
                                require_type(broadcast(s.x[0].shape, shape) == shape,
                                             "can't be broadcast to ", shape);
                                return Type{s.x[0].dtype, shape};
                              },
                          .vjp = {[](V v) { return v.g; }},  // the driver sums it back
                          .simplify = [](const Call& c) -> std::optional<Var> {
                            if (c.x[0].shape() == c.attrs.as<ShapeAttrs>().shape) return c.x[0];
                            return std::nullopt;
                          },
                          .loop = rules::pointwise<kernels::Code::copy>};

struct IotaAttrs {
  DType dtype;
  Shape shape;
  int axis;
  void fields(FieldVisitor& f) const {
    f("dtype", dtype);
    f("shape", shape);
    f("axis", axis);
  }
  bool operator==(const IotaAttrs&) const = default;
};

constexpr Op kIota{.name = "iota",
                   .arity = 0,
                   .type =
                       [](const Signature& s) {
                         const auto& [dtype, shape, axis] = s.attrs.as<IotaAttrs>();
                         require_type(dtype != DType::boolean, "positions are no booleans");
                         return Type{dtype, shape};
                       },
                   .no_gradient = "positions don't depend on any value",
                   .loop = [](std::span<const Type>, const Type& y, const Attrs& attrs) -> kernels::Loop {
                     const auto dim = std::uint8_t(attrs.as<IotaAttrs>().axis);
                     return {.extents = y.shape,
                             .lane = rules::lane_of(y.dtype),
                             .code = {{.code = kernels::Code::index, .dim = dim}},
                             .outputs = {{kernels::Operand::result(0), y.dtype, kernels::Reduce::none,
                                          strides_of(y.shape)}}};
                   }};

}  // namespace

Var reshape(const Operand& x, const Shape& shape) {
  return emit_with(kReshape, {x}, [&](std::span<const Var> v) {
    return ShapeAttrs{without_unknown(shape, v[0].shape().elements())};
  });
}

Var squeeze(const Operand& x, const Axes& axes) {
  return emit_with(kReshape, {x}, [&](std::span<const Var> v) {
    const Shape from = v[0].shape();
    const Shape chosen = rules::checked_axes(axes, from.rank());
    Shape shape;
    for (int axis = 0; axis < from.rank(); ++axis) {
      const bool leave = std::ranges::count(chosen, axis) > 0 && (from[axis] == 1 || !axes.all());
      require_type(!leave || from[axis] == 1, "can't squeeze axis ", axis, " of extent ", from[axis]);
      if (!leave) shape.push_back(from[axis]);
    }
    return ShapeAttrs{shape};
  });
}

Var expand_dims(const Operand& x, std::initializer_list<int> axes) {
  return emit_with(kReshape, {x}, [&](std::span<const Var> v) {
    const int rank = v[0].rank() + int(axes.size());
    require_type(rank <= kMaxRank, "a shape has at most ", kMaxRank, " axes");
    const Shape added = rules::checked_axes(Axes(axes), rank);
    Shape shape;
    const Shape from = v[0].shape();
    int next = 0;
    for (int axis = 0; axis < rank; ++axis) {
      shape.push_back(std::ranges::count(added, axis) ? 1 : from[next++]);
    }
    return ShapeAttrs{shape};
  });
}

Var permute(const Operand& x, const Shape& order) {
  return emit_with(kPermute, {x},
                   [&](std::span<const Var> v) { return PermuteAttrs{checked_order(order, v[0].rank())}; });
}

Var transpose(const Operand& x) {
  return emit_with(kPermute, {x}, [&](std::span<const Var> v) {
    require_type(v[0].rank() >= 2, "there are no two axes to exchange");
    return PermuteAttrs{last_two_exchanged(v[0].rank())};
  });
}

std::optional<Var> transposed_operand(const Var& y) {
  const auto x = operand_of(y, kPermute);
  if (!x || y.rank() < 2 || attrs_of<PermuteAttrs>(y).order != last_two_exchanged(y.rank()))
    return std::nullopt;
  return x;
}

Var flip(const Operand& x, const Axes& axes) {
  return emit_with(kFlip, {x},
                   [&](std::span<const Var> v) { return FlipAttrs{rules::checked_axes(axes, v[0].rank())}; });
}

Var broadcast_to(const Operand& x, const Shape& shape) { return emit(kBroadcastTo, {x}, ShapeAttrs{shape}); }

Var iota(Tape& tape, DType dtype, const Shape& shape, int axis, Location at) {
  return tape.append_with(
      kIota, {},
      [&](std::span<const Var>) {
        return IotaAttrs{dtype, shape, rules::checked_axis(axis, shape.rank())};
      },
      at);
}

void register_shape(Registry& registry) {
  for (const Op* op : {&kReshape, &kPermute, &kFlip, &kBroadcastTo, &kIota}) registry.add(*op);
}

}  // namespace tapestry
