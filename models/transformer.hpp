// Parts of transformers, as layers: attention of several heads, the block around it, learned positions.
// Sequences are [n, tokens, width].
#pragma once

#include <tapestry/models/layers.hpp>
#include <tapestry/ops/attention.hpp>

namespace tapestry {

/// Attention of each token to all: `heads` times, each on width / heads features made of all by linear layers
/// NAME/query, NAME/key and NAME/value; NAME/output mixes their results.
struct MultiHeadAttention {
  Linear query, key, value, output;
  std::int64_t heads;

  MultiHeadAttention(StateDict& state, const std::string& name, std::int64_t width, std::int64_t heads,
                     const Initializer& init);
  Var operator()(const Operand& x, const AttentionOptions& options = {}) const;
};

/// x + attention(norm(x)), then the same with two linear layers and a GELU between them instead of the
/// attention: normalised before, as in Xiong et al., 2020. Layers NAME/norm1, NAME/attention/..., NAME/norm2,
/// NAME/mlp1, NAME/mlp2.
struct TransformerBlock {
  LayerNorm attention_norm;
  MultiHeadAttention attention;
  LayerNorm mlp_norm;
  Linear mlp_in, mlp_out;

  TransformerBlock(StateDict& state, const std::string& name, std::int64_t width, std::int64_t heads,
                   std::int64_t mlp_width, const Initializer& init);
  Var operator()(const Operand& x, const AttentionOptions& options = {}) const;
};

/// x plus a vector for each place in the sequence. Parameter NAME/positions.
struct LearnedPositions {
  State positions;

  LearnedPositions(StateDict& state, const std::string& name, std::int64_t tokens, std::int64_t width,
                   const Initializer& init);
  Var operator()(const Operand& x) const;
};

}  // namespace tapestry
