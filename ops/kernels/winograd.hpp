// Which convolutions go by Winograd's minimal filtering, with 16 multiplications for 36: 3x3 windows of
// stride 1, in f32 and bf16.
#pragma once

#include <cstdint>

namespace tapestry::kernels {

enum class Winograd : std::uint8_t { never, where_it_pays, wherever_possible };

/// `where_it_pays` is a rule of shape, dtype and CPU alone; TAPESTRY_WINOGRAD=0 in the environment says
/// never. Ask when a program is compiled and when it runs: the answer may change.
Winograd winograd_use();
/// For tests and benchmarks, which compare with direct convolutions. Not while a program runs.
void use_winograd(Winograd use);

}  // namespace tapestry::kernels
