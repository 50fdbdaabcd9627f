#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>

#include <algorithm>

namespace tapestry {
namespace {

using V = const Vjp&;

/// The axes are sorted, not negative and not repeated; the result keeps them with extent 1, `sum` reshapes.
struct ReduceAttrs {
  Shape axes;
  void fields(FieldVisitor& f) const { f("axes", axes); }
  bool operator==(const ReduceAttrs&) const = default;
};

Type reduced(const Signature& s) {
  Type type = s.x.front();
  for (const std::int64_t axis : s.attrs.as<ReduceAttrs>().axes) type.shape[int(axis)] = 1;
  return type;
}

template <kernels::Reduce reduce>
kernels::Loop reduce_loop(std::span<const Type> x, const Type& y, const Attrs&) {
  const Type& from = x.front();
  return {.extents = from.shape,
          .lane = rules::lane_of(from.dtype),
          .inputs = {{from.dtype, strides_of(from.shape)}},
          .outputs = {
              {kernels::Operand::input(0), y.dtype, reduce, rules::broadcast_strides(y.shape, from.shape)}}};
}

constexpr Op kSum{.name = "sum",
                  .arity = 1,
                  .type = reduced,
                  .vjp = {[](V v) { return v.g; }},  // the driver broadcasts it to x
                  .loop = reduce_loop<kernels::Reduce::sum>};

constexpr Op kSumTo{.name = "sum_to",
                    .arity = 1,
                    .type =
                        [](const Signature& s) {
                          const Shape& shape = s.attrs.as<ShapeAttrs>().shape;
                          require_type(broadcast(shape, s.x[0].shape) == s.x[0].shape, shape,
                                       " can't be broadcast to it");
                          return Type{s.x[0].dtype, shape};
                        },
                    .expand =
                        [](const Call& c) {
                          const Shape& from = c.x[0].shape();
                          const Shape& to = c.attrs.as<ShapeAttrs>().shape;
                          const int extra = from.rank() - to.rank();
                          Shape axes;
                          for (int i = 0; i < from.rank(); ++i) {
                            if (i < extra || (to[i - extra] == 1 && from[i] != 1)) axes.push_back(i);
                          }
                          return reshape(emit(kSum, {c.x[0]}, ReduceAttrs{axes}), to);
                        }};

Var reduce(const Op& op, const Operand& x, const Axes& axes, bool keep_dims) {
  const Var kept = emit_with(
      op, {x}, [&](std::span<const Var> v) { return ReduceAttrs{rules::checked_axes(axes, v[0].rank())}; });
  const Shape chosen = kept.tape().graph().node(kept.id()).attrs.as<ReduceAttrs>().axes;
  if (keep_dims) return kept;
  Shape shape;
  for (int i = 0; i < kept.rank(); ++i) {
    if (std::ranges::find(chosen, i) == chosen.end()) shape.push_back(kept.shape()[i]);
  }
  return reshape({kept, x.at()}, shape);
}

}  // namespace

Var sum(const Operand& x, const Axes& axes, bool keep_dims) { return reduce(kSum, x, axes, keep_dims); }
Var sum_to(const Operand& x, const Shape& shape) { return emit(kSumTo, {x}, ShapeAttrs{shape}); }

void register_reduce(Registry& registry) {
  for (const Op* op : {&kSum, &kSumTo}) registry.add(*op);
}

}  // namespace tapestry
