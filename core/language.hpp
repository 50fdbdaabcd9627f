// The few ops that the language itself needs: leaves, which have nothing to compute, and those by which
// gradients are summed and fitted to shapes. The latter are found in the registry by name.
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

struct InputAttrs {
  std::string name;
  Type type;
  std::int64_t position;  // equal declarations are still different inputs
  void fields(FieldVisitor& f) const {
    f("name", std::string_view(name));
    f("position", position);
  }
  bool operator==(const InputAttrs&) const = default;
};

struct ConstantAttrs {
  Tensor value;
  void fields(FieldVisitor& f) const { f("value", value); }
  bool operator==(const ConstantAttrs& other) const { return identical(value, other.value); }
};

struct StateAttrs {
  State state;
  void fields(FieldVisitor& f) const { f("name", std::string_view(state.name())); }
  bool operator==(const StateAttrs&) const = default;
};

struct CastAttrs {
  DType dtype;
  void fields(FieldVisitor& f) const { f("dtype", dtype); }
  bool operator==(const CastAttrs&) const = default;
};

/// Of ops that are told the shape of their result.
struct ShapeAttrs {
  Shape shape;
  void fields(FieldVisitor& f) const { f("shape", shape); }
  bool operator==(const ShapeAttrs&) const = default;
};

namespace language {

extern const Op input;
extern const Op constant;
extern const Op state;

/// The first operand, once the others exist; these are not read. A view: at run time it is nothing but an
/// order of tasks, and no pass takes it for its operand.
extern const Op after;
Var wait_for(std::span<const Var> others, const Var& x);

/// The constant's value, or null if `id` is none.
const Tensor* constant_value(const Graph& graph, ValueId id);

Var add(const Var& a, const Var& b);
Var cast(const Var& x, DType dtype);
/// `x` summed over the axes along which `shape` was broadcast to it, and `x` broadcast where it is the
/// smaller.
Var fit(const Var& x, const Shape& shape);

}  // namespace language
}  // namespace tapestry
