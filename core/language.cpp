#include <tapestry/core/language.hpp>
#include <tapestry/core/registry.hpp>

#include <algorithm>
#include <cstring>
#include <vector>

namespace tapestry::language {
namespace {

constexpr std::string_view kLeaf = "a leaf has no operands";

}  // namespace

// The run copies or points at what a leaf stands for; there is nothing to compute.
constexpr auto kNothing = [](const KernelCall&) {};

const Op input{.name = "input",
               .arity = 0,
               .type = [](const Signature& s) { return s.attrs.as<InputAttrs>().type; },
               .no_gradient = kLeaf,
               .kernel = kNothing};

const Op constant{.name = "constant",
                  .arity = 0,
                  .type = [](const Signature& s) { return s.attrs.as<ConstantAttrs>().value.type(); },
                  .no_gradient = kLeaf,
                  .kernel = kNothing};

const Op state{.name = "state",
               .arity = 0,
               .type = [](const Signature& s) { return s.attrs.as<StateAttrs>().state.type(); },
               .no_gradient = kLeaf,
               .kernel = kNothing};

const Op after{.name = "after",
               .arity = kVariadic,
               .type =
                   [](const Signature& s) {
                     require_type(!s.x.empty(), "takes at least one operand");
                     return s.x[0];
                   },
               .vjp = {[](const Vjp& v) { return v.g; }},
               .no_gradient = "all operands but the first only say when",
               .simplify = [](const Call& c) -> std::optional<Var> {
                 const bool known = constant_value(c.x[0].tape().graph(), c.x[0].id());
                 return known ? std::optional(c.x[0]) : std::nullopt;
               },
               .kernel =
                   [](const KernelCall& c) {
                     if (c.y.type.bytes() > 0) std::memcpy(c.y.data, c.x[0].data, c.y.type.bytes());
                   },
               .view = true};

Var wait_for(std::span<const Var> others, const Var& x) {
  std::vector<Operand> operands{x};
  for (const Var& other : others) operands.emplace_back(other);
  return emit(after, operands);
}

const Tensor* constant_value(const Graph& graph, ValueId id) {
  return &graph.op(id) == &constant ? &graph.node(id).attrs.as<ConstantAttrs>().value : nullptr;
}

Var add(const Var& a, const Var& b) {
  static const Op& op = registry().at("add");
  return emit(op, {a, b});
}

Var cast(const Var& x, DType dtype) {
  static const Op& op = registry().at("cast");
  return emit(op, {x}, CastAttrs{dtype});
}

Var fit(const Var& x, const Shape& shape) {
  static const Op& sum_to = registry().at("sum_to");
  static const Op& broadcast_to = registry().at("broadcast_to");
  if (x.shape() == shape) return x;
  // First down to 1 wherever the target is 1, or has no such axis; then up.
  const int common = std::min(shape.rank(), x.rank());
  Shape summed = Shape::filled(common, 1);
  for (int i = 1; i <= common; ++i) {
    if (shape[shape.rank() - i] != 1) summed[common - i] = x.shape()[x.rank() - i];
  }
  const Var small = x.shape() == summed ? x : emit(sum_to, {x}, ShapeAttrs{summed});
  return summed == shape ? small : emit(broadcast_to, {small}, ShapeAttrs{shape});
}

}  // namespace tapestry::language
