// Normalisation and losses.
#include "op_cases.hpp"

#include <tapestry/ops/loss.hpp>
#include <tapestry/ops/norm.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>

#include <cmath>
#include <limits>

namespace tapestry::test {
namespace {

const Draw kDraw = [](const Shape& s) { return signed_values(s); };
const Draw kApart = [](const Shape& s) { return distinct(s); };

void add_group_norms(OpTable& t) {
  const auto group = [](std::int64_t groups) {
    return [=](std::span<const Var> x) { return groupnorm(x[0], x[1], x[2], groups, 1e-2); };
  };
  const auto instance = [](std::span<const Var> x) { return instancenorm(x[0], x[1], x[2], 1e-2); };
  struct Named {
    std::string_view name;
    Shape x;
    std::int64_t groups;
  };
  for (const Named& n : std::initializer_list<Named>{{"matrix", {2, 6}, 2},
                                                     {"image", {2, 2, 3, 4}, 2},
                                                     {"square", {2, 1, 3, 3}, 1},
                                                     {"a group for each channel", {1, 3, 2, 2}, 2},
                                                     {"sequence", {2, 3, 4}, 2},
                                                     {"one element", {1, 1, 1}, 1},
                                                     {"batch of none", {0, 2, 2, 4}, 2}}) {
    const Shape c{n.x.back()};
    t.add("groupnorm", n.name, group(n.groups), {kApart(n.x), kDraw(c), kDraw(c)});
    if (n.x.rank() > 2) t.add("instancenorm", n.name, instance, {kApart(n.x), kDraw(c), kDraw(c)});
  }
  t.add("groupnorm", "repeated operand",
        [](std::span<const Var> x) { return groupnorm(x[0], x[1], x[1], 2, 1e-2); },
        {kApart({2, 2, 4}), kDraw({4})});
  t.add("instancenorm", "repeated operand",
        [](std::span<const Var> x) { return instancenorm(x[0], x[1], x[1], 1e-2); },
        {kApart({2, 3, 2}), kDraw({2})});
  const Tensor same = doubles({5.0, 5, 5, 5}, {1, 2, 2}), ones = Tensor::full<double>({2}, 1);
  t.edge("groupnorm", "constant image", group(1), {same, ones, ones}, {{0, 0, 0, 0}, {0, 0}, {2, 2}});
  t.edge("instancenorm", "constant image", instance, {same, ones, ones}, {{0, 0, 0, 0}, {0, 0}, {2, 2}});
}

void add_norms(OpTable& t) {
  const auto batch = [](std::span<const Var> x) { return batchnorm(x[0], x[1], x[2], 1e-2); };
  const auto given = [](std::span<const Var> x) {
    return batchnorm_inference(x[0], x[1], x[2], x[3], x[4], 1e-2);
  };
  const auto layer = [](std::span<const Var> x) { return layernorm(x[0], x[1], x[2], 1e-2); };
  struct Named {
    std::string_view name;
    Shape x;
  };
  for (const Named& n : std::initializer_list<Named>{{"matrix", {4, 3}},
                                                     {"square", {3, 3}},
                                                     {"image", {2, 2, 1, 3}},
                                                     {"one feature", {3, 1}},
                                                     {"empty", {3, 0}}}) {
    const Shape c{n.x.back()};
    t.add("batchnorm", n.name, batch, {kApart(n.x), kDraw(c), kDraw(c)});
    t.add("layernorm", n.name, layer, {kApart(n.x), kDraw(c), kDraw(c)});
    t.add("batchnorm_inference", n.name, given,
          {kApart(n.x), kDraw(c), kDraw(c), kDraw(c), uniform(c, 0.5, 2)});
  }
  t.add("batchnorm_inference", "batch of none", given,
        {kDraw({0, 2}), kDraw({2}), kDraw({2}), kDraw({2}), uniform({2}, 0.5, 2)});
  t.add("layernorm", "batch of none", layer, {kDraw({0, 2}), kDraw({2}), kDraw({2})});
  t.add("layernorm", "vector", layer, {kApart({4}), kDraw({4}), kDraw({4})});
  t.add("batchnorm", "repeated operand",
        [](std::span<const Var> x) { return batchnorm(x[0], x[1], x[1], 1e-2); },
        {kApart({4, 2}), kDraw({2})});
  t.add("batchnorm_inference", "repeated operand",
        [](std::span<const Var> x) { return batchnorm_inference(x[0], x[1], x[1], x[1], x[2]); },
        {kApart({4, 2}), kDraw({2}), uniform({2}, 0.5, 2)});
  t.add("layernorm", "repeated operand",
        [](std::span<const Var> x) { return layernorm(x[0], x[1], x[1], 1e-2); },
        {kApart({3, 2}), kDraw({2})});

  add_group_norms(t);

  const auto ones = [](std::int64_t n) { return Tensor::full<double>({n}, 1); };
  t.edge("batchnorm", "batch of one", batch, {doubles({5.0, -3.0}, {1, 2}), ones(2), ones(2)},
         {{0, 0}, {0, 0}, {1, 1}});
  t.edge("batchnorm", "constant feature", batch, {doubles({5.0, 5, 5}, {3, 1}), ones(1), ones(1)},
         {{0, 0, 0}, {0}, {3}});
  t.edge("layernorm", "constant row", layer, {doubles({5.0, 5, 5, 5}, {2, 2}), ones(2), ones(2)},
         {{0, 0, 0, 0}, {0, 0}, {2, 2}});
  t.edge("batchnorm_inference", "at the mean",
         [](std::span<const Var> x) { return batchnorm_inference(x[0], x[1], x[2], x[3], x[4], 0); },
         {doubles({5.0}, {1, 1}), ones(1), ones(1), doubles({5.0}, {1}), doubles({4.0}, {1})},
         {{0.5}, {0}, {1}, {-0.5}, {0}});
}

void add_label_losses(OpTable& t) {
  using Loss = std::function<Var(const Var&, const Var&)>;
  const auto add = [&](std::string_view op, std::string_view name, const Loss& f, const Shape& x, Tensor y) {
    t.add(op, name, [f](std::span<const Var> v) { return f(v[0], v[1]); }, {kApart(x), std::move(y)});
  };
  const Loss plain = [](const Var& x, const Var& y) { return softmax_cross_entropy(x, y); };
  const Loss smoothed = [](const Var& x, const Var& y) {
    return softmax_cross_entropy(x, y, {.label_smoothing = 0.1, .ignore_index = -1});
  };
  const Loss hinge = [](const Var& x, const Var& y) { return multiclass_hinge(x, y, 0.9); };
  for (const auto& [op, f] : std::initializer_list<std::pair<std::string_view, Loss>>{
           {"softmax_cross_entropy", plain}, {"multiclass_hinge", hinge}}) {
    add(op, "square", f, {3, 3}, labels({0, 2, 2}));
    add(op, "more classes", f, {2, 4}, labels({3, 0}));
    add(op, "batch of one", f, {1, 3}, labels({1}));
    add(op, "one class", f, {2, 1}, labels({0, 0}));
    add(op, "empty", f, {0, 3}, labels({}));
  }
  const Loss picked = [](const Var& x, const Var& y) { return pick(x, reshape(y, {y.shape()[0], 1})); };
  const Reference element = [](std::span<const Tensor> x) {
    const std::int64_t rows = x[0].shape()[0], columns = x[0].shape()[1];
    Tensor y(DType::f64, {rows, 1});
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t at = x[1].values<std::int64_t>()[std::size_t(r)];
      const bool is_there = at >= 0 && at < columns;
      y.mutable_values<double>()[std::size_t(r)] =
          is_there ? x[0].values<double>()[std::size_t(r * columns + at)] : 0;
    }
    return y;
  };
  const auto add_picked = [&](std::string_view name, const Shape& x, Tensor y) {
    t.add(
        "pick", name, [=](std::span<const Var> v) { return picked(v[0], v[1]); }, {kApart(x), std::move(y)},
        element);
  };
  add_picked("square", {3, 3}, labels({0, 2, 2}));
  add_picked("some out of range", {4, 3}, labels({-1, 2, 3, 0}));
  add_picked("batch of one", {1, 3}, labels({1}));
  add_picked("one class", {2, 1}, labels({0, 0}));
  add_picked("empty", {0, 3}, labels({}));
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  t.edge("pick", "beside NaN", [=](std::span<const Var> v) { return picked(v[0], v[1]); },
         {doubles({kNan, 2.0, kNan, 3.0}, {2, 2}), labels({1, 2})}, {{0, 1, 0, 0}});
  add("softmax_cross_entropy", "smoothed, some ignored", smoothed, {4, 3}, labels({-1, 0, 2, -1}));
  t.edge("softmax_cross_entropy", "far apart", [=](std::span<const Var> v) { return plain(v[0], v[1]); },
         {doubles({1e4, -1e4, 1e4, -1e4}, {2, 2}), labels({0, 1})}, {{0, 0, 0.5, -0.5}});
  // relu'(0) = 0: a margin that is just kept costs nothing.
  t.edge("multiclass_hinge", "at the kink",
         [](std::span<const Var> v) { return multiclass_hinge(v[0], v[1]); },
         {doubles({2.0, 1.0, 1.5}, {1, 3}), labels({0})}, {{-1, 0, 1}});
}

void add_value_losses(OpTable& t) {
  const auto squares = [](std::span<const Var> x) { return mean_squared_error(x[0], x[1]); };
  const auto penalty = [](std::span<const Var> x) { return l2_penalty(x[0], 3.14); };
  for (const Shape& shape : std::initializer_list<Shape>{{3, 3}, {2, 3, 1}, {}, {1}, {0, 3}}) {
    t.add("mean_squared_error", text(shape), squares, {kDraw(shape), kDraw(shape)});
    t.add("l2_penalty", text(shape), penalty, {kDraw(shape)});
  }
  t.add("mean_squared_error", "repeated operand",
        [](std::span<const Var> x) { return mean_squared_error(x[0], x[0]); }, {kDraw({2, 3})});
  t.edge("mean_squared_error", "equal and huge", squares,
         {doubles({3.0, 1e150}, {2}), doubles({3.0, -1e150}, {2})}, {{0, 2e150}, {0, -2e150}});
  t.edge("l2_penalty", "zero and huge", penalty, {doubles({0.0, 1e200}, {2})}, {{0, 3.14e200}});
}

/// No derivatives: labels as they are, and the share of right answers.
void add_label_ops(OpTable& t) {
  const auto same = [](std::span<const Var> x) { return check_labels(x[0], 3); };
  const Reference as_given = [](std::span<const Tensor> x) { return x[0].to(DType::f64); };
  t.add("check_labels", "three", same, {labels({0, 2, 1})}, as_given);
  t.add("check_labels", "one", same, {labels({2})}, as_given);
  t.add("check_labels", "none", same, {labels({})}, as_given);

  const auto share = [](std::span<const Var> x) { return accuracy(x[0], x[1]); };
  const Reference counted = [](std::span<const Tensor> x) {
    const std::int64_t rows = x[0].shape()[0], classes = x[0].shape()[1];
    double right = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      std::int64_t best = 0;
      for (std::int64_t j = 1; j < classes; ++j) {
        if (x[0].at(i * classes + j) > x[0].at(i * classes + best)) best = j;
      }
      right += double(best) == x[1].at(i);
    }
    return Tensor::scalar(rows ? right / double(rows) : NAN);
  };
  t.add("accuracy", "some right", share, {kApart({4, 3}), labels({0, 1, 2, 2})}, counted);
  t.add("accuracy", "ties", share, {doubles({1.0, 1, 0, 2, 3, 3}, {2, 3}), labels({0, 2})}, counted);
  t.add("accuracy", "batch of one", share, {kApart({1, 2}), labels({1})}, counted);
  t.add("accuracy", "none", share, {kApart({0, 2}), labels({})}, counted);
}

}  // namespace

void add_network_cases(OpTable& t) {
  add_norms(t);
  add_label_losses(t);
  add_value_losses(t);
  add_label_ops(t);
}

}  // namespace tapestry::test
