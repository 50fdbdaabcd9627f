// Normalisation. The features are the last axis, of c elements; gamma, beta and the statistics have shape
// [c].
#pragma once

#include <tapestry/core/tape.hpp>

namespace tapestry {

class Registry;

/// For training: (x - mean) / sqrt(var + eps) * gamma + beta with the mean and the biased variance over all
/// axes but the last (Ioffe and Szegedy, 2015). The statistics are mean(x, axes) and var(x, axes): asked for
/// once more, to keep running ones, they cost nothing.
Var batchnorm(const Operand& x, const Operand& gamma, const Operand& beta, double eps = 1e-5);
/// For evaluation: the same with given statistics.
Var batchnorm_inference(const Operand& x, const Operand& gamma, const Operand& beta, const Operand& mean,
                        const Operand& variance, double eps = 1e-5);
/// The same with the mean and the biased variance over the last axis, of each row by itself (Ba et al.,
/// 2016).
Var layernorm(const Operand& x, const Operand& gamma, const Operand& beta, double eps = 1e-5);
/// x [n, ..., c] with the mean and the biased variance over each image's part of c / groups channels (Wu and
/// He, 2018). `groups` divides c.
Var groupnorm(const Operand& x, const Operand& gamma, const Operand& beta, std::int64_t groups,
              double eps = 1e-5);
/// The same with a group for each channel: over the pixels of an image (Ulyanov et al., 2016).
Var instancenorm(const Operand& x, const Operand& gamma, const Operand& beta, double eps = 1e-5);

void register_norm(Registry& registry);

}  // namespace tapestry
