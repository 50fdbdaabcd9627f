// Matrix products.
#pragma once

#include <tapestry/core/tape.hpp>

#include <optional>

namespace tapestry {

class Registry;

/// Which operands are stored with their last two axes exchanged. Transposes are never materialised.
struct MatmulAttrs {
  bool transpose_a = false;
  bool transpose_b = false;
  /// Of bf16 operands: f32 for the sums as they are; otherwise the result has the operands' dtype.
  std::optional<DType> result{};
  void fields(FieldVisitor& f) const;
  bool operator==(const MatmulAttrs&) const = default;
};

/// a [..., m, k] by b [..., k, n] is [..., m, n]; the axes before are broadcast. As in NumPy an operand of
/// one axis is a row on the left, [k], and a column on the right, [k], and the result lacks that axis; the
/// flags don't apply to it. f32 or f64.
Var matmul(const Operand& a, const Operand& b, MatmulAttrs flags = {});
/// x [..., in] by w [in, out] plus b [out].
Var linear(const Operand& x, const Operand& w, const Operand& b);

void register_matmul(Registry& registry);

}  // namespace tapestry
