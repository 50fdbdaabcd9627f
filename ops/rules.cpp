#include <tapestry/core/tape.hpp>
#include <tapestry/ops/rules.hpp>

#include <algorithm>

namespace tapestry::rules {

using kernels::Lane;

Type same(const Signature& s) { return s.x.front(); }

Type broadcast(const Signature& s) {
  Type type = s.x.front();
  for (const Type& x : s.x.subspan(1)) {
    require_type(x.dtype == type.dtype, "dtypes differ");
    const auto shape = tapestry::broadcast(type.shape, x.shape);
    require_type(shape.has_value(), "shapes can't be broadcast");
    type.shape = *shape;
  }
  return type;
}

Type floating(const Signature& s) {
  const Type type = broadcast(s);
  require_type(is_floating(type.dtype), "needs a floating dtype");
  return type;
}

Type numeric(const Signature& s) {
  const Type type = broadcast(s);
  require_type(type.dtype != DType::boolean, "needs numbers, not bool");
  return type;
}

Type logical(const Signature& s) {
  const Type type = broadcast(s);
  require_type(type.dtype == DType::boolean, "needs bool");
  return type;
}

Type compare(const Signature& s) { return {DType::boolean, broadcast(s).shape}; }

Var number(const Var& x, double value) { return x.tape().constant(value, x.dtype()); }

Lane lane_of(DType dtype) {
  if (dtype == DType::f64) return Lane::f64;
  return is_floating(dtype) ? Lane::f32 : Lane::i64;
}

Shape broadcast_strides(const Shape& from, const Shape& to) {
  Shape strides = Shape::filled(to.rank(), 0);
  const Shape own = strides_of(from);
  for (int i = 1; i <= from.rank(); ++i) {
    if (from[from.rank() - i] != 1) strides[to.rank() - i] = own[from.rank() - i];
  }
  return strides;
}

kernels::Loop pointwise_loop(kernels::Code code, std::span<const Type> x, const Type& y) {
  kernels::Loop loop{.extents = y.shape};
  kernels::Instruction instruction{.code = code};
  kernels::Operand* const slots[] = {&instruction.a, &instruction.b, &instruction.c};
  Lane lane = lane_of(y.dtype == DType::boolean ? x.front().dtype : y.dtype);
  for (std::size_t i = 0; i < x.size(); ++i) {
    loop.inputs.push_back({x[i].dtype, broadcast_strides(x[i].shape, y.shape)});
    *slots[i] = kernels::Operand::input(i);
    // The widest of what is read and written, so that a cast converts once.
    const Lane own = lane_of(x[i].dtype);
    if (lane == Lane::i64 || own == Lane::f64) lane = own;
  }
  loop.lane = lane;
  loop.code.push_back(instruction);
  loop.outputs.push_back({kernels::Operand::result(0), y.dtype, kernels::Reduce::none, strides_of(y.shape)});
  return loop;
}

}  // namespace tapestry::rules
