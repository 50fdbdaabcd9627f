#include <tapestry/core/registry.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/resize.hpp>
#include <tapestry/ops/shape.hpp>

#include <algorithm>
#include <cmath>

namespace tapestry {
namespace {

struct ResizeAttrs {
  Extent2d size;
  Interpolation how;
  void fields(FieldVisitor& f) const {
    f("height", size.h);
    f("width", size.w);
    f("how", std::string_view(how == Interpolation::nearest ? "nearest" : "bilinear"));
  }
  bool operator==(const ResizeAttrs&) const = default;
};

Type resize_type(const Signature& s) {
  const Type& x = s.x[0];
  const Extent2d size = s.attrs.as<ResizeAttrs>().size;
  require_type(is_floating(x.dtype) && x.shape.rank() == 4, "takes images [n, h, w, c], f32, f64 or bf16");
  require_type(size.h > 0 && size.w > 0, "an image can't become ", size.h, " x ", size.w);
  require_type(x.shape[1] > 0 && x.shape[2] > 0, "there are no pixels");
  return {x.dtype, {x.shape[0], size.h, size.w, x.shape[3]}};
}

/// Slices along `axis`: those of x at floor(i from / to).
Var nearest(const Var& x, int axis, std::int64_t to) {
  const std::int64_t from = x.shape()[axis];
  if (from == to) return x;
  if (to % from == 0) {  // copies side by side, whose gradient is a sum
    Shape copies, joined(x.shape());
    for (int i = 0; i < x.rank(); ++i) {
      copies.push_back(x.shape()[i]);
      if (i == axis) copies.push_back(to / from);
    }
    joined[axis] = to;
    return reshape(broadcast_to(expand_dims(x, {axis + 1}), copies), joined);
  }
  std::vector<std::int64_t> source;
  for (std::int64_t i = 0; i < to; ++i) source.push_back(i * from / to);
  return take(x, Tensor::from(source, {to}), axis);
}

/// [to, from]: the weights of the rows of an image in each row of the other, at most two.
Tensor between(std::int64_t from, std::int64_t to, DType dtype) {
  Tensor weights = Tensor::full<double>({to, from}, 0);
  const auto w = weights.mutable_values<double>();
  for (std::int64_t i = 0; i < to; ++i) {
    const double at = std::max((double(i) + 0.5) * double(from) / double(to) - 0.5, 0.0);
    const auto below = std::min(std::int64_t(at), from - 1), above = std::min(below + 1, from - 1);
    const double share = at - double(below);
    w[std::size_t(i * from + below)] += 1 - share;
    w[std::size_t(i * from + above)] += share;
  }
  return weights.to(dtype);
}

// Two products with small matrices, of rows and of columns.
Var bilinear(const Var& x, Extent2d size) {
  const Shape shape = x.shape();
  const std::int64_t n = shape[0], h = shape[1], w = shape[2], c = shape[3];
  Var y = x;
  if (h != size.h) y = matmul(x.tape().constant(between(h, size.h, x.dtype())), reshape(y, {n, h, w * c}));
  if (w != size.w) {
    y = matmul(x.tape().constant(between(w, size.w, x.dtype())), reshape(y, {n * size.h, w, c}));
  }
  return reshape(y, {n, size.h, size.w, c});
}

constexpr Op kResize{.name = "resize2d", .type = resize_type, .expand = [](const Call& c) {
                       const auto& [size, how] = c.attrs.as<ResizeAttrs>();
                       if (how == Interpolation::bilinear) return bilinear(c.x[0], size);
                       return nearest(nearest(c.x[0], 1, size.h), 2, size.w);
                     }};

}  // namespace

Var resize2d(const Operand& x, Extent2d size, Interpolation how) {
  return emit(kResize, {x}, ResizeAttrs{size, how});
}

Var upsample2d(const Operand& x, Extent2d times, Interpolation how) {
  return emit_with(kResize, {x}, [&](std::span<const Var> v) {
    const Shape shape = v[0].shape();
    require_type(shape.rank() == 4, "takes images [n, h, w, c], f32, f64 or bf16");
    return ResizeAttrs{{shape[1] * times.h, shape[2] * times.w}, how};
  });
}

void register_resize(Registry& registry) { registry.add(kResize); }

}  // namespace tapestry
