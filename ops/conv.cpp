#include <tapestry/core/registry.hpp>
#include <tapestry/ops/conv.hpp>
#include <tapestry/ops/kernels/conv.hpp>
#include <tapestry/ops/pointwise.hpp>

namespace tapestry {
namespace {

using V = const Vjp&;
using kernels::Convolution;
using kernels::ConvPart;
using kernels::ConvShape;

// Three ops, of images x, filters w and results y, each linear in both of its operands:
//   conv2d(x, w) is y,  conv2d_images(y, w) is x's gradient,  conv2d_filters(x, y) is w's.
// Each one's derivatives are the other two.
struct ConvAttrs {
  Window2d window;
  std::int64_t groups = 1;
  Extent2d image;                 // its extent, which the results leave open
  std::optional<DType> result{};  // f32 of bf16 operands; nothing: the operands' own
  void fields(FieldVisitor& f) const {
    window.fields(f);
    f("groups", groups);
    f("image", Shape{image.h, image.w});
    if (result) f("result", *result);
  }
  bool operator==(const ConvAttrs&) const = default;
};

Extent2d extent(const Shape& image) { return {image[1], image[2]}; }

void check_images(const Shape& shape) {
  require_type(shape.rank() == 4, "images have four axes: batch, rows, columns, channels");
}
void check_filters(const Shape& shape) {
  require_type(shape.rank() == 4, "filters have four axes: rows, columns, channels in a group, filters");
}

/// Checks that all fits; extents of what isn't there yet follow from the others.
ConvShape conv_shape(const ConvAttrs& a, std::int64_t n, std::int64_t cin, std::int64_t cout) {
  require_type(a.groups > 0, "there can't be ", a.groups, " groups");
  require_type(cin % a.groups == 0, cin, " channels can't be cut into ", a.groups, " groups");
  require_type(cout % a.groups == 0, cout, " filters can't be cut into ", a.groups, " groups");
  const Extent2d places = a.window.places(a.image);
  const Window2d& w = a.window;
  return {.n = n,
          .h = a.image.h,
          .w = a.image.w,
          .cin = cin,
          .kh = w.size.h,
          .kw = w.size.w,
          .cout = cout,
          .oh = places.h,
          .ow = places.w,
          .stride_h = w.stride.h,
          .stride_w = w.stride.w,
          .lo_h = w.lo.h,
          .lo_w = w.lo.w,
          .dilation_h = w.dilation.h,
          .dilation_w = w.dilation.w,
          .groups = a.groups};
}

template <ConvPart part>
ConvShape shape_of(std::span<const Type> operands, const ConvAttrs& attrs) {
  const Shape &a = operands[0].shape, &b = operands[1].shape;
  check_images(a);
  if constexpr (part == ConvPart::filters) {
    check_images(b);
    require_type(a[0] == b[0], "the batches differ");
    return conv_shape(attrs, a[0], a.back(), b.back());
  } else {
    check_filters(b);
    const std::int64_t cin = b[2] * attrs.groups, cout = b.back();
    const bool forward = part == ConvPart::results;
    if (forward) {
      require_type(a.back() == cin, "the images have ", a.back(), " channels and the filters are for ", cin);
    } else {
      require_type(a.back() == cout, "there are ", a.back(), " channels for ", cout, " filters");
    }
    return conv_shape(attrs, a[0], cin, cout);
  }
}

template <ConvPart part>
Type conv_type(const Signature& s) {
  const DType from = s.x[0].dtype;
  require_type(from == s.x[1].dtype, "dtypes differ");
  require_type(is_floating(from), "convolves floating-point numbers only");
  const auto& attrs = s.attrs.as<ConvAttrs>();
  const DType dtype = attrs.result.value_or(from);
  require_type(dtype == from || (from == DType::bf16 && dtype == DType::f32), "can't make ", name_of(dtype),
               " of ", name_of(from));
  const ConvShape c = shape_of<part>(s.x, attrs);
  const Shape results = {c.n, c.oh, c.ow, c.cout};
  if constexpr (part == ConvPart::results) {
    require_type(extent(s.x[0].shape) == attrs.image, "the images have another extent");
    return {dtype, results};
  } else {
    const Shape& given = s.x[part == ConvPart::images ? 0 : 1].shape;
    require_type(given == results, "the results' shape is ", results);
    if constexpr (part == ConvPart::images) return {dtype, {c.n, c.h, c.w, c.cin}};
    return {dtype, {c.kh, c.kw, c.cin_each(), c.cout}};
  }
}

template <ConvPart part>
Convolution convolution_of(std::span<const Type> x, const Type& y, const Attrs& attrs) {
  return {part, shape_of<part>(x, attrs.as<ConvAttrs>()), x[0].dtype, y.dtype};
}

template <ConvPart part>
void run(const KernelCall& c) {
  const std::array operands = {c.x[0].type, c.x[1].type};
  kernels::convolve(convolution_of<part>(operands, c.y.type, c.attrs), c.x[0].data, c.x[1].data, c.y.data);
}

Var conv(const Var& x, const Var& w, const Attrs& attrs, DType dtype);
Var images(const Var& y, const Var& w, const Attrs& attrs, DType dtype);
Var filters(const Var& x, const Var& y, const Attrs& attrs, DType dtype);

template <ConvPart part>
constexpr Op conv_op(std::string_view name, Var (*vjp_a)(V), Var (*vjp_b)(V)) {
  return {.name = name,
          .arity = 2,
          .type = conv_type<part>,
          .vjp = {vjp_a, vjp_b},
          .kernel = run<part>,
          .reserve =
              [](std::span<const Type> x, const Type& y, const Attrs& attrs) {
                return kernels::reserve_for_convolution(convolution_of<part>(x, y, attrs));
              },
          .flops =
              [](std::span<const Type> x, const Type&, const Attrs& attrs) {
                const ConvShape s = shape_of<part>(x, attrs.as<ConvAttrs>());
                return 2.0 * double(s.results()) * double(s.taps() * s.cin_each());
              },
          .with_result = [](const Attrs& attrs, DType result) -> Attrs {
            auto with = attrs.as<ConvAttrs>();
            with.result = result;
            return with;
          }};
}

constexpr Op kConv2d = conv_op<ConvPart::results>(
    "conv2d", [](V v) { return images(v.g, v.b(), v.attrs, v.a().dtype()); },
    [](V v) { return filters(v.a(), v.g, v.attrs, v.a().dtype()); });
constexpr Op kConv2dImages = conv_op<ConvPart::images>(
    "conv2d_images", [](V v) { return conv(v.g, v.b(), v.attrs, v.a().dtype()); },
    [](V v) { return filters(v.g, v.a(), v.attrs, v.a().dtype()); });
constexpr Op kConv2dFilters = conv_op<ConvPart::filters>(
    "conv2d_filters", [](V v) { return images(v.b(), v.g, v.attrs, v.a().dtype()); },
    [](V v) { return conv(v.a(), v.g, v.attrs, v.a().dtype()); });

/// Of operands of the first one's dtype, and in it: the f32 cotangent of a sum of bf16 products is one of
/// bf16.
Var derived(const Op& op, const Var& a, const Var& b, const Attrs& attrs, DType dtype) {
  auto plain = attrs.as<ConvAttrs>();
  plain.result.reset();
  return emit(op, {cast(a, dtype), cast(b, dtype)}, plain);
}
Var conv(const Var& x, const Var& w, const Attrs& attrs, DType dtype) {
  return derived(kConv2d, x, w, attrs, dtype);
}
Var images(const Var& y, const Var& w, const Attrs& attrs, DType dtype) {
  return derived(kConv2dImages, y, w, attrs, dtype);
}
Var filters(const Var& x, const Var& y, const Attrs& attrs, DType dtype) {
  return derived(kConv2dFilters, x, y, attrs, dtype);
}

Extent2d size_of_filters(const Shape& shape) {
  check_filters(shape);
  return {shape[0], shape[1]};
}

/// The extent of the images whose convolution `w` gives the results `y`, of one axis.
std::int64_t image_extent(std::int64_t y, std::int64_t size, std::int64_t stride, std::int64_t dilation,
                          std::int64_t padding, std::int64_t more) {
  return (y - 1) * stride + (size - 1) * dilation + 1 - padding + more;
}

}  // namespace

Var conv2d(const Operand& x, const Operand& filters, const Conv2dOptions& o) {
  return emit_with(kConv2d, {x, filters}, [&](std::span<const Var> v) {
    check_images(v[0].shape());
    const Extent2d image = extent(v[0].shape());
    const Extent2d size = size_of_filters(v[1].shape());
    return ConvAttrs{Window2d::over(image, size, o.stride, o.padding, o.dilation), o.groups, image};
  });
}

Var conv_transpose2d(const Operand& x, const Operand& filters, const ConvTranspose2dOptions& o) {
  return emit_with(kConv2dImages, {x, filters}, [&](std::span<const Var> v) {
    check_images(v[0].shape());
    const Extent2d y = extent(v[0].shape()), size = size_of_filters(v[1].shape());
    require_type(o.output_padding.h >= 0 && o.output_padding.h < o.stride.h && o.output_padding.w >= 0 &&
                     o.output_padding.w < o.stride.w,
                 "the output padding must be less than the stride");
    // The padding `same` is that of images of the extent which it leads to.
    const Extent2d same(y.h * o.stride.h, y.w * o.stride.w);
    const Window2d w = Window2d::over(same, size, o.stride, o.padding, o.dilation);
    if (o.padding == Padding::same) return ConvAttrs{w, o.groups, same};
    const Extent2d image(
        image_extent(y.h, size.h, o.stride.h, o.dilation.h, w.lo.h + w.hi.h, o.output_padding.h),
        image_extent(y.w, size.w, o.stride.w, o.dilation.w, w.lo.w + w.hi.w, o.output_padding.w));
    require_type(image.h > 0 && image.w > 0, "nothing is left inside of the padding");
    return ConvAttrs{w, o.groups, image};
  });
}

Var conv2d_filters(const Operand& images, const Operand& results, Extent2d size, const Conv2dOptions& o) {
  return emit_with(kConv2dFilters, {images, results}, [&](std::span<const Var> v) {
    check_images(v[0].shape());
    const Extent2d image = extent(v[0].shape());
    return ConvAttrs{Window2d::over(image, size, o.stride, o.padding, o.dilation), o.groups, image};
  });
}

void register_conv(Registry& registry) {
  for (const Op* op : {&kConv2d, &kConv2dImages, &kConv2dFilters}) registry.add(*op);
}

}  // namespace tapestry
