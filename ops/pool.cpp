#include <tapestry/core/registry.hpp>
#include <tapestry/ops/kernels/pool.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/slice.hpp>

namespace tapestry {
namespace {

using V = const Vjp&;
using kernels::PoolShape;

struct PoolAttrs {
  Window2d window;
  Extent2d image;
  bool inside = false;  // a mean is of the elements inside of the image
  void fields(FieldVisitor& f) const {
    window.fields(f);
    f("image", Shape{image.h, image.w});
    if (inside) f("inside", inside);
  }
  bool operator==(const PoolAttrs&) const = default;
};

void check_images(const Shape& shape) {
  require_type(shape.rank() == 4, "images have four axes: batch, rows, columns, channels");
}

PoolShape pool_shape(const PoolAttrs& a, std::int64_t n, std::int64_t c) {
  const Window2d& w = a.window;
  const Extent2d places = w.places(a.image);
  return {.n = n,
          .h = a.image.h,
          .w = a.image.w,
          .c = c,
          .oh = places.h,
          .ow = places.w,
          .kh = w.size.h,
          .kw = w.size.w,
          .stride_h = w.stride.h,
          .stride_w = w.stride.w,
          .lo_h = w.lo.h,
          .lo_w = w.lo.w,
          .dilation_h = w.dilation.h,
          .dilation_w = w.dilation.w};
}

/// Of images or results, whose batch and channels are the same.
PoolShape shape_of(const Type& x, const Attrs& attrs) {
  check_images(x.shape);
  return pool_shape(attrs.as<PoolAttrs>(), x.shape[0], x.shape.back());
}
PoolShape shape_of(const KernelCall& c) { return shape_of(c.x[0].type, c.attrs); }

Shape images_of(const PoolShape& s) { return {s.n, s.h, s.w, s.c}; }
Shape results_of(const PoolShape& s) { return {s.n, s.oh, s.ow, s.c}; }

PoolShape checked(const Signature& s, bool of_images) {
  require_type(is_floating(s.x[0].dtype), "pools floating-point numbers only");
  const PoolShape shape = shape_of(s.x[0], s.attrs);
  const Shape expected = of_images ? images_of(shape) : results_of(shape);
  require_type(s.x[0].shape == expected, "the shape isn't ", expected);
  return shape;
}
Type results_type(const Signature& s) { return {s.x[0].dtype, results_of(checked(s, true))}; }
Type images_type(const Signature& s) { return {s.x[0].dtype, images_of(checked(s, false))}; }

DType index_type(const Window2d& w) { return w.size.h * w.size.w <= 256 ? DType::u8 : DType::i32; }

void check_index(const Signature& s, const PoolShape& shape) {
  require_type(s.x[1] == Type{index_type(s.attrs.as<PoolAttrs>().window), results_of(shape)},
               "the numbers are not those of its windows");
}

/// No element is in two windows.
bool is_apart(const Attrs& attrs) {
  const Window2d& w = attrs.as<PoolAttrs>().window;
  return w.stride.h >= w.size.h && w.stride.w >= w.size.w && w.dilation == Extent2d(1);
}

// Which element of a window is the largest is a value of its own, so that all derivatives are linear: `pick`
// and `put` by given numbers are each other's adjoints.
Var index(const Var& x, const Attrs& attrs);
Var pick(const Var& x, const Var& index, const Attrs& attrs);
Var put(const Var& y, const Var& index, const Attrs& attrs);

constexpr Op kMaxPool{.name = "max_pool2d",
                      .arity = 1,
                      .type = results_type,
                      .vjp = {[](V v) { return put(v.g, index(v.a(), v.attrs), v.attrs); }},
                      .kernel = [](const KernelCall& c) { kernels::max_pool(shape_of(c), c.x[0], c.y); },
                      .chooses = [](const Attrs&) { return true; }};

constexpr Op kMaxPoolIndex{
    .name = "max_pool2d_index",
    .arity = 1,
    .type =
        [](const Signature& s) {
          return Type{index_type(s.attrs.as<PoolAttrs>().window), results_type(s).shape};
        },
    .no_gradient = "it is a number of an element",
    .kernel = [](const KernelCall& c) { kernels::max_pool_index(shape_of(c), c.x[0], c.y); },
    .chooses = [](const Attrs&) { return true; }};

constexpr Op kPick{
    .name = "max_pool2d_pick",
    .arity = 2,
    .type =
        [](const Signature& s) {
          const PoolShape shape = checked(s, true);
          check_index(s, shape);
          return Type{s.x[0].dtype, results_of(shape)};
        },
    .vjp = {[](V v) { return put(v.g, v.b(), v.attrs); }},
    .kernel = [](const KernelCall& c) { kernels::pool_pick(shape_of(c), c.x[0], c.x[1], c.y); },
    .chooses = [](const Attrs&) { return true; }};

constexpr Op kPut{.name = "max_pool2d_put",
                  .arity = 2,
                  .type =
                      [](const Signature& s) {
                        const PoolShape shape = checked(s, false);
                        check_index(s, shape);
                        return Type{s.x[0].dtype, images_of(shape)};
                      },
                  .vjp = {[](V v) { return pick(v.g, v.b(), v.attrs); }},
                  .kernel = [](const KernelCall& c) { kernels::pool_put(shape_of(c), c.x[0], c.x[1], c.y); },
                  .chooses = is_apart};

Var mean_images(const Var& y, const Attrs& attrs);
Var mean_results(const Var& x, const Attrs& attrs);

constexpr Op kAvgPool{.name = "avg_pool2d",
                      .arity = 1,
                      .type = results_type,
                      .vjp = {[](V v) { return mean_images(v.g, v.attrs); }},
                      .kernel = [](const KernelCall& c) {
                        kernels::mean_pool(shape_of(c), c.attrs.as<PoolAttrs>().inside, c.x[0], c.y);
                      }};

constexpr Op kAvgPoolImages{.name = "avg_pool2d_images",
                            .arity = 1,
                            .type = images_type,
                            .vjp = {[](V v) { return mean_results(v.g, v.attrs); }},
                            .kernel = [](const KernelCall& c) {
                              kernels::mean_pool_images(shape_of(c), c.attrs.as<PoolAttrs>().inside, c.x[0],
                                                        c.y);
                            }};

Var index(const Var& x, const Attrs& attrs) { return emit(kMaxPoolIndex, {x}, attrs); }
Var pick(const Var& x, const Var& index, const Attrs& attrs) { return emit(kPick, {x, index}, attrs); }
Var put(const Var& y, const Var& index, const Attrs& attrs) { return emit(kPut, {y, index}, attrs); }
Var mean_images(const Var& y, const Attrs& attrs) { return emit(kAvgPoolImages, {y}, attrs); }
Var mean_results(const Var& x, const Attrs& attrs) { return emit(kAvgPool, {x}, attrs); }

PoolAttrs attrs_for(const Shape& x, Extent2d size, const PoolOptions& o, bool inside = false) {
  check_images(x);
  const Extent2d image(x[1], x[2]);
  return {Window2d::over(image, size, o.stride.value_or(size), o.padding, o.dilation), image, inside};
}

/// Every window has an element inside of the image: the first and last row and column of windows have.
void check_inside(const PoolAttrs& a) {
  const Extent2d places = a.window.places(a.image);
  const auto meets = [](std::int64_t windows, std::int64_t image, std::int64_t size, std::int64_t stride,
                        std::int64_t dilation, std::int64_t lo) {
    for (std::int64_t place = 0; place < windows; ++place) {
      bool inside = false;
      for (std::int64_t i = 0; i < size; ++i) {
        const std::int64_t at = place * stride - lo + i * dilation;
        inside |= at >= 0 && at < image;
      }
      if (!inside) return false;
    }
    return true;
  };
  const Window2d& w = a.window;
  require_type(meets(places.h, a.image.h, w.size.h, w.stride.h, w.dilation.h, w.lo.h) &&
                   meets(places.w, a.image.w, w.size.w, w.stride.w, w.dilation.w, w.lo.w),
               "a window lies outside of the image altogether");
}

/// The results of `reduce` over the ranges that cut an axis evenly.
template <class Reduce>
Var by_ranges(const Var& x, int axis, std::int64_t count, const Reduce& reduce) {
  const std::int64_t extent = x.shape()[axis];
  require_type(count > 0 && count <= extent, count, " windows can't cover an extent of ", extent);
  std::vector<Var> parts;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = i * extent / count, end = ((i + 1) * extent + count - 1) / count;
    parts.push_back(reduce(slice(x, axis, begin, end), axis));
  }
  return concat(std::span<const Var>(parts), axis);
}

struct AdaptiveAttrs {
  Extent2d results;
  void fields(FieldVisitor& f) const { f("results", Shape{results.h, results.w}); }
  bool operator==(const AdaptiveAttrs&) const = default;
};

template <class Reduce>
Var adaptive(const Call& c, const Reduce& reduce) {
  const Extent2d results = c.attrs.as<AdaptiveAttrs>().results;
  return by_ranges(by_ranges(c.x[0], 1, results.h, reduce), 2, results.w, reduce);
}

Type adaptive_type(const Signature& s) {
  const Type& x = s.x[0];
  check_images(x.shape);
  require_type(is_floating(x.dtype), "pools floating-point numbers only");
  const Extent2d r = s.attrs.as<AdaptiveAttrs>().results;
  require_type(r.h > 0 && r.h <= x.shape[1] && r.w > 0 && r.w <= x.shape[2], r.h, "x", r.w,
               " windows can't cover it");
  return {x.dtype, {x.shape[0], r.h, r.w, x.shape.back()}};
}

constexpr Op kAdaptiveMaxPool{
    .name = "adaptive_max_pool2d", .arity = 1, .type = adaptive_type, .expand = [](const Call& c) {
      return adaptive(c, [](const Var& x, int axis) { return max(x, axis, kKeepDims); });
    }};
constexpr Op kAdaptiveAvgPool{
    .name = "adaptive_avg_pool2d", .arity = 1, .type = adaptive_type, .expand = [](const Call& c) {
      return adaptive(c, [](const Var& x, int axis) { return mean(x, axis, kKeepDims); });
    }};

}  // namespace

Var max_pool2d(const Operand& x, Extent2d window, const PoolOptions& options) {
  return emit_with(kMaxPool, {x}, [&](std::span<const Var> v) {
    const PoolAttrs attrs = attrs_for(v[0].shape(), window, options);
    check_inside(attrs);
    return attrs;
  });
}

Var avg_pool2d(const Operand& x, Extent2d window, const PoolOptions& options, bool count_padding) {
  return emit_with(kAvgPool, {x}, [&](std::span<const Var> v) {
    return attrs_for(v[0].shape(), window, options, !count_padding);
  });
}

Var adaptive_max_pool2d(const Operand& x, Extent2d results) {
  return emit(kAdaptiveMaxPool, {x}, AdaptiveAttrs{results});
}
Var adaptive_avg_pool2d(const Operand& x, Extent2d results) {
  return emit(kAdaptiveAvgPool, {x}, AdaptiveAttrs{results});
}

Var max_pool2d_index(const Operand& x, Extent2d window, const PoolOptions& options) {
  return emit_with(kMaxPoolIndex, {x}, [&](std::span<const Var> v) {
    const PoolAttrs attrs = attrs_for(v[0].shape(), window, options);
    check_inside(attrs);
    return attrs;
  });
}

Var global_max_pool2d(const Operand& x) { return max(x, {1, 2}); }
Var global_avg_pool2d(const Operand& x) { return mean(x, {1, 2}); }

void register_pool(Registry& registry) {
  for (const Op* op : {&kMaxPool, &kMaxPoolIndex, &kPick, &kPut, &kAvgPool, &kAvgPoolImages,
                       &kAdaptiveMaxPool, &kAdaptiveAvgPool}) {
    registry.add(*op);
  }
}

}  // namespace tapestry
