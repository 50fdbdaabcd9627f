// Pools and what their derivatives are made of.
#include "op_cases.hpp"

#include <tapestry/core/differentiate.hpp>
#include <tapestry/ops/pool.hpp>
#include <tapestry/ops/shape.hpp>

#include <cmath>
#include <limits>

namespace tapestry::test {
namespace {

struct Setting {
  std::string_view name;
  Shape x;
  Extent2d window;
  PoolOptions options{};
};

const std::initializer_list<Setting> kSettings{{"plain", {2, 4, 4, 2}, 2},
                                               {"remainder", {1, 5, 3, 2}, 2},
                                               {"overlap", {1, 4, 5, 1}, 3, {.stride = 2, .padding = 1}},
                                               {"apart", {1, 5, 5, 1}, {1, 2}, {.stride = 3}},
                                               {"dilation", {1, 4, 4, 1}, 2, {.stride = 1, .dilation = 2}},
                                               {"size 1", {1, 1, 1, 1}, 1},
                                               {"empty", {0, 2, 2, 2}, 2}};

Var maximum(const Var& x, const Setting& s) { return max_pool2d(x, s.window, s.options); }

/// The gradient of max_pool2d(x) for the cotangent g: g where the largest elements of x were.
Var put(const Var& x, const Var& g, const Setting& s) { return gradient(maximum(x, s), x, g); }

/// The elements of t where the largest of x are.
Var pick(const Var& x, const Var& t, const Setting& s) {
  const Var y = maximum(x, s), g = reshape(y, y.shape());
  return gradient(put(x, g, s), g, t);
}

/// Calls f(result, image, number) for the first of the largest elements of each window.
template <class F>
void visit_largest(const Tensor& x, const Setting& s, const F& f) {
  const Shape& shape = x.shape();
  const Window2d w = Window2d::over({shape[1], shape[2]}, s.window, s.options.stride.value_or(s.window),
                                    s.options.padding, s.options.dilation);
  const Extent2d places = w.places({shape[1], shape[2]});
  const std::int64_t channels = shape[3];
  for (std::int64_t i = 0; i < shape[0] * places.h * places.w * channels; ++i) {
    const std::int64_t c = i % channels, ox = i / channels % places.w,
                       oy = i / channels / places.w % places.h;
    const std::int64_t n = i / channels / places.w / places.h;
    std::int64_t best = -1, number = 0;
    for (std::int64_t k = 0; k < w.size.h * w.size.w; ++k) {
      const std::int64_t y = oy * w.stride.h - w.lo.h + k / w.size.w * w.dilation.h;
      const std::int64_t column = ox * w.stride.w - w.lo.w + k % w.size.w * w.dilation.w;
      if (y < 0 || y >= shape[1] || column < 0 || column >= shape[2]) continue;
      const std::int64_t at = ((n * shape[1] + y) * shape[2] + column) * channels + c;
      if (best >= 0 && !(x.at(at) > x.at(best))) continue;
      best = at;
      number = k;
    }
    f(i, best, number);
  }
}

Shape results(const Setting& s) {
  Tape tape;
  return maximum(tape.input("x", {DType::f64, s.x}), s).shape();
}

}  // namespace

void add_pool_cases(OpTable& t) {
  for (const Setting& s : kSettings) {
    t.add("max_pool2d", s.name, [s](std::span<const Var> x) { return maximum(x[0], s); }, {distinct(s.x)});
    t.add(
        "max_pool2d_index", s.name,
        [s](std::span<const Var> x) { return max_pool2d_index(x[0], s.window, s.options); }, {distinct(s.x)},
        [s](std::span<const Tensor> x) {
          Tensor y(DType::u8, results(s));
          visit_largest(x[0], s, [&](std::int64_t result, std::int64_t, std::int64_t number) {
            y.mutable_values<std::uint8_t>()[std::size_t(result)] = std::uint8_t(number);
          });
          return y;
        });
    t.add(
        "max_pool2d_put", s.name, [s](std::span<const Var> x) { return put(x[0], x[1], s); },
        {distinct(s.x), signed_values(results(s))},
        [s](std::span<const Tensor> x) {
          Tensor y(DType::f64, s.x);
          visit_largest(x[0], s, [&](std::int64_t result, std::int64_t image, std::int64_t) {
            y.mutable_values<double>()[std::size_t(image)] += x[1].at(result);
          });
          return y;
        });
    t.add(
        "max_pool2d_pick", s.name, [s](std::span<const Var> x) { return pick(x[0], x[1], s); },
        {distinct(s.x), signed_values(s.x)},
        [s](std::span<const Tensor> x) {
          Tensor y(DType::f64, results(s));
          visit_largest(x[0], s, [&](std::int64_t result, std::int64_t image, std::int64_t) {
            y.mutable_values<double>()[std::size_t(result)] = x[1].at(image);
          });
          return y;
        });
    for (const bool count_padding : {true, false}) {
      const std::string name = text(s.name, count_padding ? "" : ", inside");
      const auto mean_of = [s, count_padding](const Var& x) {
        return avg_pool2d(x, s.window, s.options, count_padding);
      };
      t.add("avg_pool2d", name, [=](std::span<const Var> x) { return mean_of(x[0]); }, {signed_values(s.x)});
      t.add(
          "avg_pool2d_images", name,
          [=](std::span<const Var> x) {
            const Var image = reshape(x[0].tape().constant(Tensor(DType::f64, s.x)), s.x);
            return gradient(mean_of(image), image, x[0]);
          },
          {signed_values(results(s))},
          [=](std::span<const Tensor> x) {  // the definition of an adjoint, one image element at a time
            Tensor y(DType::f64, s.x);
            for (std::int64_t i = 0; i < y.elements(); ++i) {
              const Window2d w =
                  Window2d::over({s.x[1], s.x[2]}, s.window, s.options.stride.value_or(s.window),
                                 s.options.padding, s.options.dilation);
              const Extent2d places = w.places({s.x[1], s.x[2]});
              double sum = 0;
              for (std::int64_t r = 0; r < x[0].elements(); ++r) {
                const std::int64_t c = r % s.x[3], ox = r / s.x[3] % places.w;
                const std::int64_t oy = r / s.x[3] / places.w % places.h,
                                   n = r / s.x[3] / places.w / places.h;
                std::int64_t inside = 0;
                bool has = false;
                for (std::int64_t k = 0; k < w.size.h * w.size.w; ++k) {
                  const std::int64_t row = oy * w.stride.h - w.lo.h + k / w.size.w * w.dilation.h;
                  const std::int64_t column = ox * w.stride.w - w.lo.w + k % w.size.w * w.dilation.w;
                  if (row < 0 || row >= s.x[1] || column < 0 || column >= s.x[2]) continue;
                  ++inside;
                  has |= ((n * s.x[1] + row) * s.x[2] + column) * s.x[3] + c == i;
                }
                if (has) sum += x[0].at(r) / double(count_padding ? w.size.h * w.size.w : inside);
              }
              y.mutable_values<double>()[std::size_t(i)] = sum;
            }
            return y;
          });
    }
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Setting two{"", {1, 2, 2, 1}, 2};
  t.edge("max_pool2d", "ties", [two](std::span<const Var> x) { return maximum(x[0], two); },
         {doubles({1, 3, 3, 3}, two.x)}, {{0, 1, 0, 0}});
  t.edge("max_pool2d", "NaN", [two](std::span<const Var> x) { return maximum(x[0], two); },
         {doubles({1, nan, 3, nan}, two.x)}, {{0, 1, 0, 0}});
  t.edge("max_pool2d", "infinite", [two](std::span<const Var> x) { return maximum(x[0], two); },
         {doubles({-HUGE_VAL, -HUGE_VAL, HUGE_VAL, 0}, two.x)}, {{0, 0, 1, 0}});
  t.edge("max_pool2d_put", "huge", [two](std::span<const Var> x) { return put(x[0], x[1], two); },
         {doubles({1, 2, 3, 0}, two.x), doubles({1e300}, {1, 1, 1, 1})}, {{0, 0, 0, 0}, {1}});
  t.edge("max_pool2d_pick", "infinite", [two](std::span<const Var> x) { return pick(x[0], x[1], two); },
         {doubles({1, 2, 3, 0}, two.x), doubles({HUGE_VAL, nan, 1e300, nan}, two.x)},
         {{0, 0, 0, 0}, {0, 0, 1, 0}});
  t.edge("avg_pool2d", "huge", [](std::span<const Var> x) { return avg_pool2d(x[0], 2); },
         {doubles({1e300, -1e300, 1, 0}, two.x)}, {{0.25, 0.25, 0.25, 0.25}});
  t.edge("avg_pool2d_images", "huge",
         [two](std::span<const Var> x) {
           const Var image = reshape(x[0].tape().constant(Tensor(DType::f64, two.x)), two.x);
           return gradient(avg_pool2d(image, 2), image, x[0]);
         },
         {doubles({1e300}, {1, 1, 1, 1})}, {{1}});
  for (const auto& [shape, results] : {std::pair<Shape, Extent2d>{{2, 2, 3, 3}, 2},
                                       {{1, 5, 4, 2}, {3, 2}},
                                       {{1, 1, 1, 1}, 1},
                                       {{0, 2, 2, 1}, 1}}) {
    const std::string name = text(shape, " to ", results.h, "x", results.w);
    const Extent2d size = results;
    t.add("adaptive_max_pool2d", name,
          [size](std::span<const Var> x) { return adaptive_max_pool2d(x[0], size); }, {distinct(shape)});
    t.add("adaptive_avg_pool2d", name,
          [size](std::span<const Var> x) { return adaptive_avg_pool2d(x[0], size); }, {signed_values(shape)});
  }
  t.edge("adaptive_max_pool2d", "ties", [](std::span<const Var> x) { return adaptive_max_pool2d(x[0], 1); },
         {doubles({3, 3, 1, 3}, two.x)}, {{1, 0, 0, 0}});
  t.edge("adaptive_avg_pool2d", "huge", [](std::span<const Var> x) { return adaptive_avg_pool2d(x[0], 1); },
         {doubles({1e300, -1e300, 1, 0}, two.x)}, {{0.25, 0.25, 0.25, 0.25}});
}

}  // namespace tapestry::test
