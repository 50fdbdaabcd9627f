#include <tapestry/core/registry.hpp>
#include <tapestry/ops/attention.hpp>
#include <tapestry/ops/compare.hpp>
#include <tapestry/ops/functions.hpp>
#include <tapestry/ops/matmul.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/reduce.hpp>
#include <tapestry/ops/shape.hpp>
#include <tapestry/ops/softmax.hpp>

#include <cmath>
#include <limits>

namespace tapestry {
namespace {

using C = const Call&;

Type attention_type(const Signature& s) {
  const Type &q = s.x[0], &k = s.x[1], &v = s.x[2];
  require_type(is_floating(q.dtype) && k.dtype == q.dtype && v.dtype == q.dtype,
               "queries, keys and values need one floating dtype");
  const int rank = q.shape.rank();
  require_type(rank >= 2 && k.shape.rank() == rank && v.shape.rank() == rank,
               "queries, keys and values need the same axes, at least 2");
  for (int i = 0; i + 2 < rank; ++i) {
    require_type(k.shape[i] == q.shape[i] && v.shape[i] == q.shape[i],
                 "queries, keys and values differ in axis ", i);
  }
  require_type(q.shape.back() == k.shape.back(), "queries and keys have ", q.shape.back(), " and ",
               k.shape.back(), " features");
  require_type(k.shape[rank - 2] == v.shape[rank - 2], "there are ", k.shape[rank - 2], " keys and ",
               v.shape[rank - 2], " values");
  require_type(k.shape[rank - 2] > 0, "there are no keys");
  Shape shape = q.shape;
  shape[rank - 1] = v.shape.back();
  return {q.dtype, shape};
}

/// [..., t, s]
Shape scores_shape(const Shape& q, const Shape& k) {
  Shape shape = q;
  shape[shape.rank() - 1] = k[k.rank() - 2];
  return shape;
}

Type masked_attention_type(const Signature& s) {
  const Type type = attention_type({s.x.first(3), s.attrs});
  const Shape scores = scores_shape(s.x[0].shape, s.x[1].shape);
  const Type& mask = s.x[3];
  require_type(mask.dtype == DType::boolean, "the mask isn't bool");
  require_type(broadcast(mask.shape, scores) == scores, "the mask can't be broadcast to ", scores);
  return type;
}

// Scaled with the softmax, in the same loop: queries are a product's result and would be a pass of their own.
Var scores(C c) {
  const auto& scale = c.attrs.as<AttentionOptions>().scale;
  const std::int64_t features = c.x[0].shape().back();
  return matmul(c.x[0], c.x[1], {.transpose_b = true}) *
         scale.value_or(features > 0 ? 1 / std::sqrt(double(features)) : 1);
}

/// Is the key's place no later than the query's?
Var not_later(const Var& scores) {
  const Shape shape = scores.shape(), matrix{shape[shape.rank() - 2], shape.back()};
  return iota(scores.tape(), DType::i32, matrix, 0) >= iota(scores.tape(), DType::i32, matrix, 1);
}

/// A score that counts nothing beside any other, and of which differences are finite.
double lowest(DType dtype) { return dtype == DType::f64 ? -1e300 : -1e38; }

Var expand_attention(C c) {
  Var z = scores(c);
  if (c.attrs.as<AttentionOptions>().causal) z = where(not_later(z), z, lowest(z.dtype()));
  return matmul(softmax(z), c.x[2]);
}

// Softmax over what is seen, spelled out for queries that see nothing.
Var expand_masked_attention(C c) {
  const Var all = scores(c);
  const Var seen = c.attrs.as<AttentionOptions>().causal ? logical_and(c.x[3], not_later(all)) : c.x[3];
  const Var z = where(seen, all, lowest(all.dtype()));
  const Var e = where(seen, exp(z - stop_gradient(max(z, -1, kKeepDims))), 0);
  const Var total = sum(e, -1, kKeepDims);
  return matmul(e * (1 / where(total > 0, total, 1)), c.x[2]);
}

constexpr Op kAttention{.name = "attention", .arity = 3, .type = attention_type, .expand = expand_attention};
constexpr Op kMaskedAttention{
    .name = "masked_attention", .arity = 4, .type = masked_attention_type, .expand = expand_masked_attention};

}  // namespace

void AttentionOptions::fields(FieldVisitor& f) const {
  f("causal", causal);
  if (scale) f("scale", *scale);
}

Var attention(const Operand& q, const Operand& k, const Operand& v, const AttentionOptions& options) {
  return emit(kAttention, {q, k, v}, options);
}
Var masked_attention(const Operand& q, const Operand& k, const Operand& v, const Operand& mask,
                     const AttentionOptions& options) {
  return emit(kMaskedAttention, {q, k, v, mask}, options);
}

void register_attention(Registry& registry) {
  for (const Op* op : {&kAttention, &kMaskedAttention}) registry.add(*op);
}

}  // namespace tapestry
