// Matrix products.
#include "op_cases.hpp"

#include <tapestry/ops/matmul.hpp>

namespace tapestry::test {
namespace {

const Draw kDraw = [](const Shape& s) { return signed_values(s); };

void add_matmul(OpTable& t) {
  struct Operands {
    std::string_view name;
    Shape a, b;
    MatmulAttrs flags{};
  };
  for (const Operands& o :
       std::initializer_list<Operands>{{"plain", {2, 3}, {3, 4}},
                                       {"square", {3, 3}, {3, 3}},
                                       {"first transposed", {3, 2}, {3, 4}, {true, false}},
                                       {"second transposed", {2, 3}, {4, 3}, {false, true}},
                                       {"both transposed", {3, 2}, {4, 3}, {true, true}},
                                       {"batch", {2, 2, 3}, {2, 3, 2}},
                                       {"batch, second transposed", {2, 2, 3}, {2, 2, 3}, {false, true}},
                                       {"batch by matrix", {2, 2, 3}, {3, 2}},
                                       {"transposed batch by matrix", {2, 3, 2}, {3, 2}, {true, false}},
                                       {"matrix by batch", {2, 3}, {2, 3, 2}},
                                       {"batches of both", {2, 1, 2, 2}, {3, 2, 2}},
                                       {"vector by matrix", {3}, {3, 2}},
                                       {"matrix by vector", {2, 3}, {3}},
                                       {"vectors", {3}, {3}},
                                       {"size 1", {1, 1}, {1, 1}},
                                       {"outer", {3, 1}, {1, 2}},
                                       {"no rows", {0, 3}, {3, 2}},
                                       {"no inner", {2, 0}, {0, 3}}}) {
    t.add("matmul", o.name, [flags = o.flags](std::span<const Var> x) { return matmul(x[0], x[1], flags); },
          {kDraw(o.a), kDraw(o.b)});
  }
  t.add("matmul", "repeated operand", [](std::span<const Var> x) { return matmul(x[0], x[0]); },
        {kDraw({3, 3})});
  t.edge("matmul", "huge", [](std::span<const Var> x) { return matmul(x[0], x[1]); },
         {doubles({1e200, 0.0}, {1, 2}), doubles({1e200, 2.0}, {2, 1})}, {{1e200, 2}, {1e200, 0}});
}

void add_linear(OpTable& t) {
  const auto call = [](std::span<const Var> x) { return linear(x[0], x[1], x[2]); };
  struct Operands {
    std::string_view name;
    Shape x, w, b;
  };
  for (const Operands& o : std::initializer_list<Operands>{{"matrix", {2, 3}, {3, 4}, {4}},
                                                           {"square", {3, 3}, {3, 3}, {3}},
                                                           {"sequence", {2, 2, 3}, {3, 2}, {2}},
                                                           {"batch of one", {1, 3}, {3, 2}, {2}},
                                                           {"size 1", {1, 1}, {1, 1}, {1}},
                                                           {"empty", {0, 3}, {3, 2}, {2}}}) {
    t.add("linear", o.name, call, {kDraw(o.x), kDraw(o.w), kDraw(o.b)});
  }
  t.add("linear", "repeated operand", [](std::span<const Var> x) { return linear(x[0], x[0], x[1]); },
        {kDraw({3, 3}), kDraw({3})});
  t.edge("linear", "huge", call,
         {doubles({1e200, 0.0}, {1, 2}), doubles({1e200, 2.0}, {2, 1}), doubles({-1e300}, {1})},
         {{1e200, 2}, {1e200, 0}, {1}});
}

}  // namespace

void add_matmul_cases(OpTable& t) {
  add_matmul(t);
  add_linear(t);
}

}  // namespace tapestry::test
