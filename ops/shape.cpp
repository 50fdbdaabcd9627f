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

void register_shape(Registry& registry) {
  for (const Op* op : {&kReshape, &kBroadcastTo}) registry.add(*op);
}

}  // namespace tapestry
