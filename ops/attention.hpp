// Scaled dot-product attention: each query gets a mean of the values, weighted by how well their keys answer
// it.
#pragma once

#include <tapestry/core/tape.hpp>

#include <optional>

namespace tapestry {

class Registry;

struct AttentionOptions {
  /// Query i sees keys 0 to i only.
  bool causal = false;
  /// Of the products of queries and keys; nothing: 1 / sqrt(d).
  std::optional<double> scale{};
  void fields(FieldVisitor& f) const;
  bool operator==(const AttentionOptions&) const = default;
};

/// softmax(scale q k^T) v: queries [..., t, d], keys [..., s, d] and values [..., s, e] give [..., t, e]; the
/// axes before are equal, batch and heads usually (Vaswani et al., 2017). There has to be a key.
Var attention(const Operand& q, const Operand& k, const Operand& v, const AttentionOptions& options = {});
/// The same where a query sees only those keys for which the bool `mask`, broadcast to [..., t, s], is true.
/// One that sees none gets 0.
Var masked_attention(const Operand& q, const Operand& k, const Operand& v, const Operand& mask,
                     const AttentionOptions& options = {});

void register_attention(Registry& registry);

}  // namespace tapestry
