#include <tapestry/core/registry.hpp>
#include <tapestry/ops/kernels/gemm.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/rules.hpp>
#include <tapestry/ops/shape.hpp>

#include <type_traits>

namespace tapestry {

void MatmulAttrs::fields(FieldVisitor& f) const {
  f("transpose_a", transpose_a);
  f("transpose_b", transpose_b);
  if (result) f("result", *result);
}

namespace {

using V = const Vjp&;

// An operand of one axis is a matrix without its outer axis (a) or its inner one (b).
Shape row(const Shape& a) { return a.rank() == 1 ? Shape{1, a[0]} : a; }
Shape column(const Shape& b) { return b.rank() == 1 ? Shape{b[0], 1} : b; }

struct Transposed {
  bool a, b;
};
Transposed flags_for(const MatmulAttrs& flags, const Shape& a, const Shape& b) {
  return {flags.transpose_a && a.rank() > 1, flags.transpose_b && b.rank() > 1};
}

/// What is multiplied: a batch of [m, k] by [k, n].
struct Product {
  Shape batch;
  std::int64_t m, k, n;
};

Product product_of(const Shape& a, const Shape& b, const MatmulAttrs& flags) {
  require_type(a.rank() > 0 && b.rank() > 0, "a scalar is no matrix");
  const auto [ta, tb] = flags_for(flags, a, b);
  const auto split = [](const Shape& matrix, bool transposed) {
    const Shape batch(std::span(matrix.begin(), matrix.size() - 2));
    const std::int64_t outer = matrix[matrix.rank() - 2], inner = matrix.back();
    return transposed ? std::tuple(batch, inner, outer) : std::tuple(batch, outer, inner);
  };
  const auto [batch_a, m, k] = split(row(a), ta);
  const auto [batch_b, inner, n] = split(column(b), tb);
  require_type(k == inner, "inner dimensions differ");
  const auto batch = broadcast(batch_a, batch_b);
  require_type(batch.has_value(), "batch dimensions can't be broadcast");
  return {*batch, m, k, n};
}

Type product_type(const Type& a, const Type& b, const MatmulAttrs& flags) {
  require_type(a.dtype == b.dtype, "dtypes differ");
  require_type(is_floating(a.dtype), "multiplies f32, f64 or bf16 only");
  const DType dtype = flags.result.value_or(a.dtype);
  require_type(dtype == a.dtype || (a.dtype == DType::bf16 && dtype == DType::f32), "can't make ",
               name_of(dtype), " of ", name_of(a.dtype));
  auto [shape, m, k, n] = product_of(a.shape, b.shape, flags);
  if (a.shape.rank() > 1) shape.push_back(m);
  if (b.shape.rank() > 1) shape.push_back(n);
  return {dtype, shape};
}

// --- derivative: dA = g B^T, dB = A^T g, in terms of a and b as they are stored ---

Var with_shape(const Var& x, const Shape& shape) { return x.shape() == shape ? x : reshape(x, shape); }

struct Matrices {
  Var a, b, g;
  bool ta, tb;
};

Matrices matrices_of(V v) {
  const Shape a = v.a().shape(), b = v.b().shape();
  const auto [ta, tb] = flags_for(v.attrs.as<MatmulAttrs>(), a, b);
  auto [shape, m, k, n] = product_of(a, b, {ta, tb, {}});
  shape.push_back(m);
  shape.push_back(n);
  const Var g = cast(v.g, v.a().dtype());  // the f32 cotangent of a sum of bf16 products is one of bf16
  return {with_shape(v.a(), row(a)), with_shape(v.b(), column(b)), with_shape(g, shape), ta, tb};
}

/// All the matrices of a batch, one below the other.
Var rows(const Var& x) {
  std::int64_t count = 1;
  for (int i = 0; i + 1 < x.rank(); ++i) count *= x.shape()[i];
  return with_shape(x, {count, x.shape().back()});
}

Var matmul_vjp_a(V v) {
  const auto [a, b, g, ta, tb] = matrices_of(v);
  const Var da = ta ? matmul(b, g, {tb, true}) : matmul(g, b, {false, !tb});
  return v.a().rank() == 1 ? squeeze(da, -2) : da;
}

Var matmul_vjp_b(V v) {
  auto [a, b, g, ta, tb] = matrices_of(v);
  if (b.rank() == 2 && !ta) {  // the sum over the batch is then a part of the product
    a = rows(a);
    g = rows(g);
  }
  const Var db = tb ? matmul(g, a, {true, ta}) : matmul(a, g, {!ta, false});
  return v.b().rank() == 1 ? squeeze(db, -1) : db;
}

/// A transposed operand is read as it was before, with its flag turned.
std::optional<Var> absorb_transposes(const Call& c) {
  const auto a = transposed_operand(c.x[0]), b = transposed_operand(c.x[1]);
  if (!a && !b) return std::nullopt;
  const auto& flags = c.attrs.as<MatmulAttrs>();
  return matmul(a.value_or(c.x[0]), b.value_or(c.x[1]),
                {flags.transpose_a != a.has_value(), flags.transpose_b != b.has_value(), flags.result});
}

// --- kernel ---

Shape batch_of(const Shape& matrix) { return Shape(std::span(matrix.begin(), matrix.size() - 2)); }

template <class T, class Result>
void product(const kernels::GemmShape& shape, const T* a, const T* b, Result* to) {
  if constexpr (std::is_same_v<T, bf16>) {
    kernels::gemm_bf16(shape, a, b, to);
  } else {
    kernels::gemm(shape, a, b, to);
  }
}

/// A batch of products as calls: the innermost axes that go through both operands in even steps are one, the
/// `outer` ones are gone through.
struct Calls {
  Shape batch, steps_a{}, steps_b{};  // in matrices
  int outer = 0;
  kernels::GemmShape shape;  // of one call
};
Calls calls_of(const Shape& a, const Shape& b, const MatmulAttrs& flags) {
  const auto [ta, tb] = flags_for(flags, a, b);
  const auto [batch, m, k, n] = product_of(a, b, {ta, tb, {}});
  Calls calls{.batch = batch, .shape = {.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb}};
  kernels::GemmShape& shape = calls.shape;
  if (b.rank() <= 2 && !ta) {  // one matrix for all rows
    shape.m *= batch.elements();
    return calls;
  }
  calls.steps_a = rules::broadcast_strides(batch_of(row(a)), batch);
  calls.steps_b = rules::broadcast_strides(batch_of(column(b)), batch);
  std::int64_t step_a = 0, step_b = 0;
  for (calls.outer = batch.rank(); calls.outer > 0; --calls.outer) {
    const int axis = calls.outer - 1;
    if (batch[axis] == 1) continue;
    if (shape.batch == 1) {
      step_a = calls.steps_a[axis];
      step_b = calls.steps_b[axis];
    } else if (calls.steps_a[axis] != step_a * shape.batch || calls.steps_b[axis] != step_b * shape.batch) {
      break;
    }
    shape.batch *= batch[axis];
  }
  shape.stride_a = step_a * m * k;
  shape.stride_b = step_b * k * n;
  return calls;
}

template <class T, class Result = T>
void multiply(const KernelCall& c) {
  const auto [batch, steps_a, steps_b, outer, shape] =
      calls_of(c.x[0].type.shape, c.x[1].type.shape, c.attrs.as<MatmulAttrs>());
  if (batch.elements() == 0) return;
  const T *from_a = c.x[0].as<T>(), *from_b = c.x[1].as<T>();
  Result* to = c.y.as<Result>();
  std::int64_t calls = 1;
  for (int axis = 0; axis < outer; ++axis) calls *= batch[axis];
  for (std::int64_t call = 0; call < calls; ++call) {
    std::int64_t at_a = 0, at_b = 0, rest = call;
    for (int axis = outer - 1; axis >= 0; --axis) {
      at_a += rest % batch[axis] * steps_a[axis];
      at_b += rest % batch[axis] * steps_b[axis];
      rest /= batch[axis];
    }
    product(shape, from_a + at_a * shape.m * shape.k, from_b + at_b * shape.k * shape.n,
            to + call * shape.batch * shape.m * shape.n);
  }
}

void run_multiply(const KernelCall& c) {
  if (c.x[0].type.dtype == DType::f64) return multiply<double>(c);
  if (c.x[0].type.dtype == DType::f32) return multiply<float>(c);
  c.y.type.dtype == DType::f32 ? multiply<bf16, float>(c) : multiply<bf16>(c);
}

/// In parts where y's first axis is the rows of a single product.
std::int64_t rows_for(std::span<const Type> x, const Type& y, const Attrs& attrs, std::size_t bytes) {
  const Calls calls = calls_of(x[0].shape, x[1].shape, attrs.as<MatmulAttrs>());
  if (x[0].dtype == DType::bf16 || calls.outer > 0 || y.shape.rank() != 2 || y.shape[0] != calls.shape.m)
    return 0;
  return kernels::rows_of_part(calls.shape, bytes, y.dtype);
}

void make_rows(const KernelCall& c, std::int64_t first) {
  const kernels::GemmShape shape =
      calls_of(c.x[0].type.shape, c.x[1].type.shape, c.attrs.as<MatmulAttrs>()).shape;
  const auto make = [&]<class T>(T*) {
    kernels::gemm_rows(shape, first, c.y.type.shape[0], c.x[0].as<T>(), c.x[1].as<T>(), c.y.as<T>());
  };
  c.y.type.dtype == DType::f64 ? make(static_cast<double*>(nullptr)) : make(static_cast<float*>(nullptr));
}

std::size_t reserve_for(std::span<const Type> x, const Type& y, const Attrs& attrs) {
  const kernels::GemmShape shape = calls_of(x[0].shape, x[1].shape, attrs.as<MatmulAttrs>()).shape;
  return x[0].dtype == DType::bf16 ? kernels::reserve_for_gemm_bf16(shape, y.dtype)
                                   : kernels::reserve_for_gemm(shape, x[0].dtype);
}

constexpr Op kMatmul{
    .name = "matmul",
    .arity = 2,
    .type = [](const Signature& s) { return product_type(s.x[0], s.x[1], s.attrs.as<MatmulAttrs>()); },
    .vjp = {matmul_vjp_a, matmul_vjp_b},
    .simplify = absorb_transposes,
    .kernel = run_multiply,
    .reserve = reserve_for,
    .parts = {rows_for, make_rows},
    .flops =
        [](std::span<const Type> x, const Type&, const Attrs& attrs) {
          const auto [batch, m, k, n] = product_of(x[0].shape, x[1].shape, attrs.as<MatmulAttrs>());
          return 2.0 * double(batch.elements()) * double(m) * double(n) * double(k);
        },
    .with_result = [](const Attrs& attrs, DType result) -> Attrs {
      auto flags = attrs.as<MatmulAttrs>();
      flags.result = result;
      return flags;
    }};

constexpr Op kLinear{.name = "linear",
                     .arity = 3,
                     .type =
                         [](const Signature& s) {
                           const Shape &w = s.x[1].shape, &b = s.x[2].shape;
                           require_type(w.rank() == 2, "the weight isn't a matrix");
                           const Type type = product_type(s.x[0], s.x[1], {});
                           require_type(b == Shape{w[1]} && s.x[2].dtype == type.dtype, "the bias isn't ",
                                        Type{type.dtype, {w[1]}});
                           return type;
                         },
                     .expand = [](const Call& c) { return matmul(c.x[0], c.x[1]) + c.x[2]; }};

}  // namespace

Var matmul(const Operand& a, const Operand& b, MatmulAttrs flags) { return emit(kMatmul, {a, b}, flags); }

Var linear(const Operand& x, const Operand& w, const Operand& b) { return emit(kLinear, {x, w, b}); }

void register_matmul(Registry& registry) {
  for (const Op* op : {&kMatmul, &kLinear}) registry.add(*op);
}

}  // namespace tapestry
