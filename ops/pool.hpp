// Pools of images [n, h, w, c]: one element for each window, channel by channel. f32, f64 or bf16.
#pragma once

#include <tapestry/core/tape.hpp>
#include <tapestry/ops/window.hpp>

#include <optional>

namespace tapestry {

class Registry;

struct PoolOptions {
  std::optional<Extent2d> stride{};  // the window's extent unless given
  Padding padding = 0;
  Extent2d dilation = 1;
};

/// The largest element of each window, NaN if one is; what lies outside of the image is no element, so a
/// window mustn't lie outside altogether. The gradient goes to the first of equals in row-major order.
Var max_pool2d(const Operand& x, Extent2d window, const PoolOptions& options = {});
/// Which element of each window max_pool2d takes: its number in row-major order, counted with those outside
/// of the image; u8, or i32 for windows of more than 256.
Var max_pool2d_index(const Operand& x, Extent2d window, const PoolOptions& options = {});
/// The mean of each window; what lies outside of the image counts as 0, or, without `count_padding`, doesn't
/// count.
Var avg_pool2d(const Operand& x, Extent2d window, const PoolOptions& options = {}, bool count_padding = true);

/// As many windows as `results` asks for, which cover the image evenly: row i of the results is of the rows
/// from floor(i h / results.h) up to ceil((i + 1) h / results.h).
Var adaptive_max_pool2d(const Operand& x, Extent2d results);
Var adaptive_avg_pool2d(const Operand& x, Extent2d results);

/// x [n, h, w, c] -> [n, c]
Var global_max_pool2d(const Operand& x);
Var global_avg_pool2d(const Operand& x);

void register_pool(Registry& registry);

}  // namespace tapestry
