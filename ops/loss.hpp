// Losses: scalars to minimise. Labels are integers [n], scores and logits floating [n, c].
#pragma once

#include <tapestry/core/tape.hpp>

#include <optional>

namespace tapestry {

class Registry;

struct CrossEntropyOptions {
  /// The share of the target that is spread evenly over all classes, 0 to 1.
  double label_smoothing = 0;
  /// Rows with this label, which may be outside [0, c), don't count.
  std::optional<std::int64_t> ignore_index = {};
};

/// The mean over the rows that count of -log(softmax(logits)[label]); NaN if none does. A label outside [0,
/// c) is an Error when the step runs.
Var softmax_cross_entropy(const Operand& logits, const Operand& labels,
                          const CrossEntropyOptions& options = {});

/// The mean over the rows of sum over j != label of max(0, score[j] - score[label] + margin): CS231n's SVM
/// loss. A label outside [0, c) is an Error when the step runs.
Var multiclass_hinge(const Operand& scores, const Operand& labels, double margin = 1);

/// The mean of (x - y)^2 over all elements; x and y have the same shape.
Var mean_squared_error(const Operand& x, const Operand& y);

/// reg / 2 * sum(w^2)
Var l2_penalty(const Operand& w, double reg);

/// The share of the rows whose largest logit, the first of equals, is at the label; f32, not differentiated.
Var accuracy(const Operand& logits, const Operand& labels);

/// Of x, [n, c], and positions, [n, 1], the element of each row at its position, 0 where there is none: [n,
/// 1]. The others don't matter, be they NaN.
Var pick(const Operand& x, const Operand& positions);

/// `labels` as they are, after a look at each: one that is neither in [0, classes) nor `ignored` is an Error
/// when the step runs, also if nothing uses the result.
Var check_labels(const Operand& labels, std::int64_t classes, std::optional<std::int64_t> ignored = {});

void register_loss(Registry& registry);

}  // namespace tapestry
