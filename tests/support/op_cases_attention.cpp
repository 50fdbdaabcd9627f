// Attention, and images of another size.
#include "op_cases.hpp"

#include <tapestry/ops/attention.hpp>
#include <tapestry/ops/resize.hpp>

namespace tapestry::test {
namespace {

const Draw kDraw = [](const Shape& s) { return signed_values(s); };

void add_attention(OpTable& t) {
  const auto attend = [](const AttentionOptions& options) {
    return [=](std::span<const Var> x) { return attention(x[0], x[1], x[2], options); };
  };
  const auto masked = [](const AttentionOptions& options) {
    return [=](std::span<const Var> x) { return masked_attention(x[0], x[1], x[2], x[3], options); };
  };
  struct Setting {
    std::string_view name;
    Shape q, k, v;
    AttentionOptions options{};
  };
  for (const Setting& s : std::initializer_list<Setting>{
           {"matrices", {3, 2}, {4, 2}, {4, 5}},
           {"square", {3, 3}, {3, 3}, {3, 3}, {.causal = true}},
           {"heads", {2, 2, 2, 3}, {2, 2, 2, 3}, {2, 2, 2, 3}, {.scale = 1.5}},
           {"causal, more keys", {2, 2, 3}, {2, 4, 3}, {2, 4, 1}, {.causal = true}},
           {"causal, more queries", {4, 2}, {2, 2}, {2, 2}, {.causal = true, .scale = -1.0}},
           {"one key", {1, 3, 2}, {1, 1, 2}, {1, 1, 3}},
           {"size 1", {1, 1}, {1, 1}, {1, 1}},
           {"batch of none", {0, 3, 2}, {0, 3, 2}, {0, 3, 2}},
           {"no queries", {0, 2}, {3, 2}, {3, 2}},
       }) {
    t.add("attention", s.name, attend(s.options), {kDraw(s.q), kDraw(s.k), kDraw(s.v)});
    Shape scores = s.q;
    scores[scores.rank() - 1] = s.k[s.k.rank() - 2];
    t.add("masked_attention", s.name, masked(s.options),
          {kDraw(s.q), kDraw(s.k), kDraw(s.v), booleans(scores)});
  }
  t.add("masked_attention", "one row of the mask", masked({}),
        {kDraw({2, 3, 2}), kDraw({2, 4, 2}), kDraw({2, 4, 2}), booleans({4})});
  t.add("masked_attention", "a mask an image", masked({}),
        {kDraw({2, 3, 2}), kDraw({2, 3, 2}), kDraw({2, 3, 2}), booleans({2, 1, 3})});
  t.add("attention", "repeated operand", [](std::span<const Var> x) { return attention(x[0], x[0], x[0]); },
        {kDraw({2, 3, 2})});
  t.add("masked_attention", "repeated operand",
        [](std::span<const Var> x) { return masked_attention(x[0], x[0], x[0], x[1]); },
        {kDraw({2, 3, 2}), booleans({3, 3})});

  // Far apart, all weight is with one key, and nothing that is not finite comes of it.
  const Tensor q = doubles({1e4}, {1, 1}), k = doubles({1e4, -1e4}, {2, 1}), v = doubles({2.0, 3.0}, {2, 1});
  t.edge("attention", "far apart", attend({}), {q, k, v}, {{0}, {0, 0}, {1, 0}});
  t.edge("attention", "one key has all the weight", attend({}),
         {doubles({0.5, 2.0}, {2, 1}), doubles({3.0}, {1, 1}), doubles({4.0}, {1, 1})}, {{0, 0}, {0}, {2}});
  const Tensor none(DType::boolean, {1, 2});
  t.edge("masked_attention", "nothing is seen", masked({}), {q, k, v, none}, {{0}, {0, 0}, {0, 0}});
}

void add_resize(OpTable& t) {
  struct Setting {
    std::string_view name;
    Shape x;
    Extent2d size;
  };
  for (const Interpolation how : {Interpolation::nearest, Interpolation::bilinear}) {
    for (const Setting& s : std::initializer_list<Setting>{{"twice", {2, 3, 2, 2}, {6, 4}},
                                                           {"square", {1, 2, 3, 3}, {3, 7}},
                                                           {"smaller", {1, 5, 4, 2}, {2, 3}},
                                                           {"higher, narrower", {1, 2, 3, 1}, {5, 2}},
                                                           {"the same", {1, 2, 2, 2}, {2, 2}},
                                                           {"one pixel", {1, 1, 1, 2}, {2, 3}},
                                                           {"size 1", {1, 1, 1, 1}, 1},
                                                           {"batch of none", {0, 2, 2, 2}, 3}}) {
      t.add("resize2d", text(how == Interpolation::nearest ? "nearest, " : "bilinear, ", s.name),
            [=](std::span<const Var> x) { return resize2d(x[0], s.size, how); }, {kDraw(s.x)});
    }
  }
  const Tensor row = doubles({1.0, 2.0}, {1, 1, 2, 1});
  t.edge("resize2d", "nearest",
         [](std::span<const Var> x) {
           return upsample2d(x[0], {1, 2});
         },
         {row}, {{2, 2}});
  // Weights 1, 1/2, 0 of the left pixel: at the border nothing is mixed in.
  t.edge("resize2d", "bilinear, at the border",
         [](std::span<const Var> x) {
           return resize2d(x[0], {1, 3}, Interpolation::bilinear);
         },
         {row}, {{1.5, 1.5}});
}

}  // namespace

void add_attention_cases(OpTable& t) {
  add_attention(t);
  add_resize(t);
}

}  // namespace tapestry::test
