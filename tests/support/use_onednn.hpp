#pragma once

#include "until.hpp"

#include <tapestry/ops/kernels/onednn.hpp>

namespace tapestry {

/// Whether oneDNN or our own kernels are used; where the build has none it changes nothing.
using UseOneDnn = Until<kernels::use_onednn, kernels::onednn_in_use>;

}  // namespace tapestry
