// Convolutions and their adjoints.
#include "op_cases.hpp"

#include <tapestry/ops/conv.hpp>

namespace tapestry::test {
namespace {

const Draw kDraw = [](const Shape& s) { return signed_values(s); };

struct Setting {
  std::string_view name;
  Shape x, w;
  Conv2dOptions options{};
};

const std::initializer_list<Setting> kSettings{
    {"plain", {2, 3, 4, 2}, {2, 2, 2, 3}},
    {"square", {2, 3, 3, 2}, {2, 2, 2, 2}},
    {"same padding", {1, 3, 3, 2}, {3, 3, 2, 2}, {.padding = Padding::same}},
    {"stride that leaves a remainder", {1, 4, 6, 1}, {3, 2, 1, 2}, {.stride = {2, 3}}},
    {"window mostly outside", {1, 1, 2, 1}, {4, 3, 1, 1}, {.padding = {3, 1}}},
    {"sides of their own", {1, 2, 3, 1}, {2, 2, 1, 2}, {.padding = Padding({1, 0}, {0, 2})}},
    {"dilation", {1, 5, 5, 1}, {2, 2, 1, 1}, {.padding = 1, .dilation = {3, 2}}},
    {"groups", {1, 3, 2, 4}, {2, 2, 2, 4}, {.groups = 2}},
    {"depthwise", {2, 3, 3, 3}, {2, 2, 1, 3}, {.padding = 1, .groups = 3}},
    {"pointwise", {2, 2, 3, 2}, {1, 1, 2, 3}},
    {"pointwise with stride", {1, 3, 3, 2}, {1, 1, 2, 2}, {.stride = 2}},
    {"size 1", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"empty", {0, 3, 3, 2}, {2, 2, 2, 2}},
    {"no channels", {1, 3, 3, 0}, {2, 2, 0, 2}}};

}  // namespace

void add_conv_cases(OpTable& t) {
  for (const Setting& s : kSettings) {
    t.add("conv2d", s.name,
          [options = s.options](std::span<const Var> x) { return conv2d(x[0], x[1], options); },
          {kDraw(s.x), kDraw(s.w)});
    Tape tape;
    const Var y = conv2d(tape.input("x", {DType::f64, s.x}), tape.input("w", {DType::f64, s.w}), s.options);
    t.add("conv2d_filters", s.name,
          [options = s.options, size = Extent2d(s.w[0], s.w[1])](std::span<const Var> x) {
            return conv2d_filters(x[0], x[1], size, options);
          },
          {kDraw(s.x), kDraw(y.shape())});
    if (s.options.padding == Padding::same) continue;
    t.add("conv2d_images", s.name,
          [o = s.options](std::span<const Var> x) {
            return conv_transpose2d(
                x[0], x[1],
                {.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups});
          },
          {kDraw(y.shape()), kDraw(s.w)});
  }
  t.add("conv2d_images", "same padding",
        [](std::span<const Var> x) {
          return conv_transpose2d(x[0], x[1], {.stride = 2, .padding = Padding::same});
        },
        {kDraw({1, 2, 3, 2}), kDraw({3, 3, 1, 2})});
  t.add("conv2d", "repeated operand", [](std::span<const Var> x) { return conv2d(x[0], x[0]); },
        {kDraw({2, 2, 2, 2})});
  t.add("conv2d_images", "repeated operand",
        [](std::span<const Var> x) { return conv_transpose2d(x[0], x[0]); }, {kDraw({2, 2, 2, 2})});
  t.add("conv2d_filters", "repeated operand",
        [](std::span<const Var> x) { return conv2d_filters(x[0], x[0], 1); }, {kDraw({2, 2, 2, 2})});
  t.edge("conv2d", "huge", [](std::span<const Var> x) { return conv2d(x[0], x[1]); },
         {doubles({1e200, 0.0}, {1, 1, 1, 2}), doubles({1e200, 2.0}, {1, 1, 2, 1})},
         {{1e200, 2}, {1e200, 0}});
  t.edge("conv2d_images", "huge", [](std::span<const Var> x) { return conv_transpose2d(x[0], x[1]); },
         {doubles({1e200, 0.0}, {1, 1, 1, 2}), doubles({1e200, 2.0}, {1, 1, 1, 2})},
         {{1e200, 2}, {1e200, 0}});
  t.edge("conv2d_filters", "huge", [](std::span<const Var> x) { return conv2d_filters(x[0], x[1], 1); },
         {doubles({1e200, 0.0}, {2, 1, 1, 1}), doubles({1e200, 2.0}, {2, 1, 1, 1})},
         {{1e200, 2}, {1e200, 0}});
}

}  // namespace tapestry::test
