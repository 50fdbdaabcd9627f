#pragma once

#include "until.hpp"

#include <tapestry/ops/kernels/amx.hpp>

namespace tapestry {

/// Whether bf16 is multiplied by AMX.
using UseAmx = Until<kernels::use_amx, kernels::amx_use>;

}  // namespace tapestry
