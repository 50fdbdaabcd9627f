// Ops that move values without computing.
#include "op_cases.hpp"

#include <tapestry/ops/shape.hpp>

#include <algorithm>

namespace tapestry::test {
namespace {

const Draw kDraw = [](const Shape& s) { return signed_values(s); };

/// A linear op on one operand, in several shapes.
struct Move {
  std::string_view name;
  Shape x;
  CheckedFunction f;
};
void moves(OpTable& t, std::string_view op, std::initializer_list<Move> list) {
  for (const Move& m : list) t.add(op, m.name, m.f, {kDraw(m.x)});
  // Nothing is computed with, so nothing can overflow: the gradient of the first case, at values that would.
  Tensor huge(DType::f64, list.begin()->x);
  std::ranges::fill(huge.mutable_values<double>(), 1e300);
  t.edge(op, "huge", list.begin()->f, {huge}, {std::vector<double>(std::size_t(huge.elements()), 1.0)});
}

CheckedFunction call(std::function<Var(const Var&)> f) {
  return [f = std::move(f)](std::span<const Var> x) { return f(x[0]); };
}

}  // namespace

void add_shape_cases(OpTable& t) {
  moves(t, "reshape",
        {{"flat", {3, 3}, call([](const Var& x) { return reshape(x, {9}); })},
         {"split", {6}, call([](const Var& x) {
            return reshape(x, {2, -1});
          })},
         {"to a scalar", {1, 1}, call([](const Var& x) { return reshape(x, {}); })},
         {"from a scalar", {}, call([](const Var& x) {
            return reshape(x, {1, 1});
          })},
         {"empty", {0, 3}, call([](const Var& x) {
            return reshape(x, {3, 0});
          })}});
  moves(t, "permute",
        {{"transposed", {3, 3}, call([](const Var& x) {
            return permute(x, {1, 0});
          })},
         {"turned", {2, 3, 2}, call([](const Var& x) {
            return permute(x, {2, 0, 1});
          })},
         {"size 1", {2, 1, 3}, call([](const Var& x) {
            return permute(x, {1, 2, 0});
          })},
         {"scalar", {}, call([](const Var& x) { return permute(x, {}); })},
         {"empty", {0, 3}, call([](const Var& x) {
            return permute(x, {1, 0});
          })}});
  moves(t, "flip",
        {{"first axis", {3, 3}, call([](const Var& x) { return flip(x, 0); })},
         {"last axis", {3, 3}, call([](const Var& x) { return flip(x, 1); })},
         {"all axes", {2, 3}, call([](const Var& x) { return flip(x); })},
         {"size 1", {2, 1}, call([](const Var& x) { return flip(x); })},
         {"scalar", {}, call([](const Var& x) { return flip(x); })},
         {"empty", {0, 3}, call([](const Var& x) { return flip(x, 0); })}});

  struct Target {
    std::string_view name;
    Shape from, to;
  };
  for (const Target& target : std::initializer_list<Target>{{"row", {3}, {2, 3}},
                                                            {"column", {2, 1}, {2, 3}},
                                                            {"scalar", {}, {2, 3}},
                                                            {"middle", {2, 1, 2}, {2, 3, 2}},
                                                            {"itself", {3, 3}, {3, 3}},
                                                            {"one to none", {2, 1}, {2, 0}},
                                                            {"empty", {0, 1}, {2, 0, 3}}}) {
    t.add("broadcast_to", target.name,
          [to = target.to](std::span<const Var> x) { return broadcast_to(x[0], to); }, {kDraw(target.from)});
  }
  t.edge("broadcast_to", "huge",
         [](std::span<const Var> x) {
           return broadcast_to(x[0], {4, 2});
         },
         {doubles({1e300, 0.0}, {2})}, {{4, 4}});

  // No operand: what is checked is the value.
  for (const Shape& shape : std::initializer_list<Shape>{{2, 3}, {3, 1}, {0, 3}, {4}}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      t.add(
          "iota", text(shape, " along ", axis),
          [=](std::span<const Var> x) { return iota(x[0].tape(), DType::f64, shape, axis); }, {kDraw({})},
          [=](std::span<const Tensor>) {
            Tensor y(DType::f64, shape);
            const std::int64_t stride = strides_of(shape)[axis];
            for (std::int64_t i = 0; i < y.elements(); ++i)
              y.mutable_values<double>()[std::size_t(i)] = double(i / stride % shape[axis]);
            return y;
          });
    }
  }
}

}  // namespace tapestry::test
