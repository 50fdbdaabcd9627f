#include <tapestry/models/transformer.hpp>
#include <tapestry/ops/activations.hpp>
#include <tapestry/ops/pointwise.hpp>
#include <tapestry/ops/shape.hpp>

#include <cmath>

namespace tapestry {
namespace {

/// Keeps the variance of what isn't followed by a relu.
WeightScale keeping(std::int64_t in) { return {1 / std::sqrt(double(in))}; }

}  // namespace

MultiHeadAttention::MultiHeadAttention(StateDict& state, const std::string& name, std::int64_t width,
                                       std::int64_t head_count, const Initializer& init)
    : query(state, name + "/query", width, width, init, keeping(width)),
      key(state, name + "/key", width, width, init, keeping(width)),
      value(state, name + "/value", width, width, init, keeping(width)),
      output(state, name + "/output", width, width, init, keeping(width)),
      heads(head_count) {
  require(heads > 0 && width % heads == 0, name, ": ", heads, " heads can't share ", width, " features");
}

Var MultiHeadAttention::operator()(const Operand& x, const AttentionOptions& options) const {
  const Shape shape = x.var().shape();
  const std::int64_t tokens = shape[1], width = shape[2];
  // [n, heads, tokens, width / heads]
  const auto split = [&](const Linear& layer) {
    const Var y = layer(x);
    const Scope scope(x, layer_name(layer.weight));
    return permute(reshape(y, {shape[0], tokens, heads, width / heads}), {0, 2, 1, 3});
  };
  const Var q = split(query), k = split(key), v = split(value);
  const auto joined = [&] {
    const Scope scope(x, layer_name(query.weight).substr(0, layer_name(query.weight).rfind('/')));
    return reshape(permute(tapestry::attention(q, k, v, options), {0, 2, 1, 3}), shape);
  };
  return output({joined(), x.at()});
}

TransformerBlock::TransformerBlock(StateDict& state, const std::string& name, std::int64_t width,
                                   std::int64_t heads, std::int64_t mlp_width, const Initializer& init)
    : attention_norm(state, name + "/norm1", width, init),
      attention(state, name + "/attention", width, heads, init),
      mlp_norm(state, name + "/norm2", width, init),
      mlp_in(state, name + "/mlp1", width, mlp_width, init),
      mlp_out(state, name + "/mlp2", mlp_width, width, init, keeping(mlp_width)) {}

Var TransformerBlock::operator()(const Operand& x, const AttentionOptions& options) const {
  const Var seen = attention({attention_norm(x), x.at()}, options);
  const Operand h(x.var() + seen, x.at());
  const Var wide = gelu({mlp_in({mlp_norm(h), x.at()}), x.at()});
  return h.var() + mlp_out({wide, x.at()});
}

LearnedPositions::LearnedPositions(StateDict& state, const std::string& name, std::int64_t tokens,
                                   std::int64_t width, const Initializer& init)
    : positions(state.create(name + "/positions", init.normal(name + "/positions", {tokens, width}, 0.02))) {}

Var LearnedPositions::operator()(const Operand& x) const {
  const Scope scope(x, layer_name(positions));
  return x.var() + positions;
}

}  // namespace tapestry
