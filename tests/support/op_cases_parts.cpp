// Ops that cut, join, pick and draw.
#include "op_cases.hpp"

#include <tapestry/core/registry.hpp>
#include <tapestry/ops/indexing.hpp>
#include <tapestry/ops/random.hpp>
#include <tapestry/ops/slice.hpp>

namespace tapestry::test {
namespace {

const Draw kDraw = [](const Shape& s) { return signed_values(s); };

CheckedFunction call(std::function<Var(const Var&)> f) {
  return [f = std::move(f)](std::span<const Var> x) { return f(x[0]); };
}

void add_slices(OpTable& t) {
  t.add("slice", "square", call([](const Var& x) { return slice(x, {{0, 3}, {1, 3}}); }), {kDraw({3, 3})});
  t.add("slice", "steps", call([](const Var& x) {
          return slice(x, {{1, 6, 3}, {0, Range::end, 2}});
        }),
        {kDraw({7, 3})});
  t.add("slice", "from the end", call([](const Var& x) { return slice(x, -1, -2, Range::end); }),
        {kDraw({2, 4})});
  t.add("slice", "size 1", call([](const Var& x) { return slice(x, 1, 1, 2); }), {kDraw({1, 3})});
  t.add("slice", "nothing", call([](const Var& x) { return slice(x, 0, 1, 1); }), {kDraw({2, 2})});
  t.add("slice", "empty", call([](const Var& x) { return slice(x, 1, 0, 2); }), {kDraw({0, 3})});
  t.edge("slice", "huge", call([](const Var& x) { return slice(x, 0, 1, 4, 2); }),
         {doubles({1e300, 1e300, 0, 1e300}, {4})}, {{0, 1, 0, 1}});

  t.add("pad", "square", call([](const Var& x) { return pad(x, {1, 0}, {0, 2}, 3); }), {kDraw({3, 3})});
  t.add("pad", "between", call([](const Var& x) {
          return pad(x, {0, 1}, {1, 0}, 0, {2, 1});
        }),
        {kDraw({2, 3})});
  t.add("pad", "size 1", call([](const Var& x) { return pad(x, {1, 1}, {1, 1}); }), {kDraw({1, 1})});
  t.add("pad", "empty", call([](const Var& x) { return pad(x, {1, 0}, {0, 0}); }), {kDraw({0, 3})});
  t.edge("pad", "huge", call([](const Var& x) { return pad(x, {1}, {1}, 1e300); }),
         {doubles({1e300, 0}, {2})}, {{1, 1}});

  t.add("pad_reflect", "square", call([](const Var& x) {
          return pad_reflect(x, {1, 2}, {2, 0});
        }),
        {kDraw({3, 3})});
  t.add("pad_reflect", "one axis", call([](const Var& x) {
          return pad_reflect(x, {0, 1, 0}, {0, 1, 0});
        }),
        {kDraw({2, 2, 2})});
  t.add("pad_reflect", "size 1", call([](const Var& x) {
          return pad_reflect(x, {0, 1}, {0, 0});
        }),
        {kDraw({1, 3})});
  t.add("pad_reflect", "empty", call([](const Var& x) {
          return pad_reflect(x, {0, 1}, {0, 0});
        }),
        {kDraw({0, 3})});
  t.edge("pad_reflect", "huge", call([](const Var& x) { return pad_reflect(x, {1}, {2}); }),
         {doubles({1e300, 0, 1e300}, {3})}, {{2, 3, 1}});
}

void add_joins(OpTable& t) {
  using Join = Var (*)(std::span<const Var>, int, Location);
  const std::pair<std::string_view, Join> joins[] = {{"concat", concat}, {"stack", stack}};
  for (const auto& [op, f] : joins) {
    const auto along = [f = f](int axis) -> CheckedFunction {
      return [=](std::span<const Var> x) { return f(x, axis, Location::current()); };
    };
    t.add(op, "first axis", along(0), {kDraw({3, 3}), kDraw({3, 3})});
    t.add(op, "last axis", along(-1), {kDraw({3, 3}), kDraw({3, 3}), kDraw({3, 3})});
    t.add(op, "one part", along(0), {kDraw({2, 2})});
    t.add(op, "size 1", along(0), {kDraw({1, 2}), kDraw({1, 2})});
    t.add(op, "empty", along(1), {kDraw({0, 3}), kDraw({0, 3})});
    t.add(op, "repeated operand",
          [f = f](std::span<const Var> x) {
            const std::vector<Var> parts{x[0], x[1], x[0]};
            return f(parts, 0, Location::current());
          },
          {kDraw({2, 2}), kDraw({2, 2})});
    t.edge(op, "huge", along(0), {doubles({1e300, 0}, {2}), doubles({-1e300, 0}, {2})}, {{1, 1}, {1, 1}});
  }
  t.add("concat", "of different extents", [](std::span<const Var> x) { return concat(x, 1); },
        {kDraw({2, 1}), kDraw({2, 3}), kDraw({2, 0})});
}

void add_picks(OpTable& t) {
  const auto picked = [](int axis) -> CheckedFunction {
    return [=](std::span<const Var> x) { return take(x[0], x[1], axis); };
  };
  const Tensor grid = labels({0, 2, 2, 1}).reshaped({2, 2}), none = labels({});
  t.add("take", "first axis", picked(0), {kDraw({3, 3}), labels({2, 0, 2})});
  t.add("take", "last axis", picked(-1), {kDraw({3, 3}), labels({1, 1, 0})});
  t.add("take", "grid", picked(1), {kDraw({2, 3, 2}), grid});
  t.add("take", "size 1", picked(0), {kDraw({1, 2}), labels({0, 0})});
  t.add("take", "nothing", picked(0), {kDraw({2, 2}), none});
  t.add("take", "empty", picked(1), {kDraw({0, 3}), labels({2, 1})});
  t.edge("take", "one twice", picked(0), {doubles({1e300, 0, 1}, {3}), labels({1, 1})}, {{0, 2, 0}});

  const auto added = [](int axis) -> CheckedFunction {
    return [=](std::span<const Var> x) { return scatter_add(x[0], x[1], x[2], axis); };
  };
  t.add("scatter_add", "first axis", added(0), {kDraw({3, 3}), labels({2, 0, 2}), kDraw({3, 3})});
  t.add("scatter_add", "last axis", added(1), {kDraw({3, 3}), labels({1, 1, 0}), kDraw({3, 3})});
  t.add("scatter_add", "grid", added(1), {kDraw({2, 3}), grid, kDraw({2, 2, 2})});
  t.add("scatter_add", "size 1", added(0), {kDraw({1, 2}), labels({0, 0}), kDraw({2, 2})});
  t.add("scatter_add", "nothing", added(0), {kDraw({2, 2}), none, kDraw({0, 2})});
  t.add("scatter_add", "empty", added(1), {kDraw({0, 3}), labels({2}), kDraw({0, 1})});
  t.add("scatter_add", "repeated operand",
        [](std::span<const Var> x) { return scatter_add(x[0], x[1], x[0], 0); },
        {kDraw({2, 2}), labels({1, 1})});
  t.edge("scatter_add", "one twice", added(0),
         {doubles({1e300, 0}, {2}), labels({1, 1}), doubles({1, 1e300}, {2})}, {{1, 1}, {1, 1}});

  const auto hot = [](std::span<const Var> x) { return one_hot(x[0], 3, DType::f64); };
  const Reference plain = [](std::span<const Tensor> x) {
    Shape shape = x[0].shape();
    shape.push_back(3);
    Tensor y(DType::f64, shape);
    for (std::int64_t i = 0; i < x[0].elements(); ++i) {
      const auto k = std::int64_t(x[0].at(i));
      if (k >= 0 && k < 3) y.mutable_values<double>()[std::size_t(i * 3 + k)] = 1;
    }
    return y;
  };
  t.add("one_hot", "grid", hot, {grid}, plain);
  t.add("one_hot", "size 1", hot, {labels({1})}, plain);
  t.add("one_hot", "outside", hot, {labels({-1, 3, 2})}, plain);
  t.add("one_hot", "empty", hot, {none}, plain);
}

/// What the functions of a State record, as functions of operands: the op's call with its attributes.
Attrs attributes_of(std::string_view op, const std::function<void(Tape&, const State&)>& record) {
  Tape tape;
  record(tape, State("key", labels({7, 0})));
  const Graph& graph = tape.graph();
  for (ValueId id = 0; id < graph.size(); ++id) {
    if (graph.is(id, op)) return graph.node(id).attrs;
  }
  fail(op, " wasn't recorded");
}

void add_draws(OpTable& t) {
  const Attrs half = attributes_of("dropout", [](Tape& tape, const State& key) {
    dropout(tape.input("x", {DType::f64, {2}}), 0.5, key);
  });
  const auto drop = [=](std::span<const Var> x) {
    return emit(registry().at("dropout"), {x[0], x[1]}, half);
  };
  const Reference masked = elementwise([](std::span<const double> v) { return v[1] < 0.5 ? 2 * v[0] : 0; });
  // The second operand's numbers keep a distance from 0.5.
  const auto draws = [](const Shape& s) {
    Tensor u = signed_values(s, 0.1, 0.4);
    for (double& v : u.mutable_values<double>()) v += 0.5;
    return u;
  };
  for (const Shape& shape : std::initializer_list<Shape>{{3, 3}, {2, 1, 3}, {}, {1}, {0, 3}})
    t.add("dropout", text(shape), drop, {kDraw(shape), draws(shape)}, masked);
  t.add("dropout", "all kept", drop, {kDraw({2}), doubles({0.1, 0.2}, {2})});
  t.add("dropout", "repeated operand",
        [=](std::span<const Var> x) {
          return emit(registry().at("dropout"), {x[0], x[0]}, half);
        },
        {draws({2, 3})});
  t.edge("dropout", "huge", drop, {doubles({1e300, 1e300, -1e300}, {3}), doubles({0, 0.5, 0.9}, {3})},
         {{2, 0, 0}, {0, 0, 0}});

  for (const std::int64_t n : {4, 1, 0}) {
    const Attrs numbers = attributes_of("random_uniform", [=](Tape& tape, const State& key) {
      random_uniform(tape, key, {n, 2}, DType::f64);
    });
    t.add("random_uniform", text(n, " rows"),
          [=](std::span<const Var> x) { return emit(registry().at("random_uniform"), {x[0]}, numbers); },
          {labels({7, 3})});
    const Attrs order = attributes_of(
        "random_permutation", [=](Tape& tape, const State& key) { random_permutation(tape, key, n); });
    t.add("random_permutation", text("of ", n),
          [=](std::span<const Var> x) { return emit(registry().at("random_permutation"), {x[0]}, order); },
          {labels({7, 3})});
  }
}

}  // namespace

void add_part_cases(OpTable& t) {
  add_slices(t);
  add_joins(t);
  add_picks(t);
  add_draws(t);
}

}  // namespace tapestry::test
