#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>

#include <cstring>

namespace tapestry {
namespace {

using V = const Vjp&;

constexpr Op kReshape{
    .name = "reshape",
    .arity = 1,
    .type =
        [](const Signature& s) {
          const Shape& shape = s.attrs.as<ShapeAttrs>().shape;
          require_type(shape.elements() == s.x[0].shape.elements(), "can't become ", shape);
          return Type{s.x[0].dtype, shape};
        },
    .vjp = {[](V v) { return reshape(v.g, v.a().shape()); }},
    .simplify = [](const Call& c) -> std::optional<Var> {
      const Shape& shape = c.attrs.as<ShapeAttrs>().shape;
      if (c.x[0].shape() == shape) return c.x[0];
      const Graph& graph = c.x[0].tape().graph();
      if (!graph.is(c.x[0].id(), "reshape")) return std::nullopt;
      return reshape(c.x[0].tape().at(graph.input(c.x[0].id(), 0)), shape);
    },
    .kernel = [](const KernelCall& c) { std::memcpy(c.y.data, c.x[0].data, c.y.type.bytes()); },
    .view = true};

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
                         require_type(normalize_axis(axis, shape.rank()) == axis, "axis ", axis,
                                      " is outside the shape ", shape);
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
  Shape wanted = shape;
  int unknown = -1;
  std::int64_t known = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] != -1) {
      known *= shape[i];
    } else {
      require(unknown < 0, to_string(x.at()), ": reshape: only one extent of ", shape, " can be -1");
      unknown = i;
    }
  }
  if (unknown >= 0) {
    const std::int64_t elements = x.var().shape().elements();
    require(known > 0 && elements % known == 0, to_string(x.at()), ": reshape: ", x.var().shape(),
            " can't become ", shape);
    wanted[unknown] = elements / known;
  }
  return emit(kReshape, {x}, ShapeAttrs{wanted});
}

Var broadcast_to(const Operand& x, const Shape& shape) { return emit(kBroadcastTo, {x}, ShapeAttrs{shape}); }

Var iota(Tape& tape, DType dtype, const Shape& shape, int axis, Location at) {
  return tape.append(kIota, {}, IotaAttrs{dtype, shape, normalize_axis(axis, shape.rank()).value_or(axis)},
                     at);
}

void register_shape(Registry& registry) {
  for (const Op* op : {&kReshape, &kBroadcastTo, &kIota}) registry.add(*op);
}

}  // namespace tapestry
