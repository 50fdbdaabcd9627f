#pragma once

#include "until.hpp"

#include <tapestry/ops/kernels/winograd.hpp>

namespace tapestry {

/// Which convolutions go by Winograd's minimal filtering.
using UseWinograd = Until<kernels::use_winograd, kernels::winograd_use>;

}  // namespace tapestry
