// What the steps of AMX convolutions share. To be included where AVX512-BF16 may be used.
#pragma once

#include <tapestry/ops/kernels/amx_pack-inl.hpp>
#include <tapestry/ops/kernels/conv_amx_steps.hpp>

namespace tapestry::kernels::conv_amx {

/// 32 terms of a pixel, from `term` on: where they are in the row, and those of them that are there.
struct Terms {
  std::int64_t at, begin, end;
  Terms(const SourceRow& row, std::int64_t pixel, std::int64_t term, std::int64_t terms)
      : at(row.first + pixel * row.step + term), begin(-at), end(std::min(terms - term, row.size - at)) {}
};

}  // namespace tapestry::kernels::conv_amx
