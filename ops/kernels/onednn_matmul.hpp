// Products of bf16 matrices by oneDNN, one tile on the calling thread.
#pragma once

#include <tapestry/core/dtype.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <cstddef>
#include <optional>

namespace tapestry::kernels {

/// Makes ready for this tile, and returns the bytes of scratch it needs; nothing if oneDNN isn't in use or
/// has no kernel for it. `tile` doesn't accumulate and has elements and terms.
std::optional<std::size_t> onednn_tile_scratch(const GemmTile& tile, DType result);

/// False if oneDNN can't. `scratch` is 64-byte aligned.
bool multiply_by_onednn(const GemmTile& tile, DType result, const bf16* a, const bf16* b, void* c,
                        std::byte* scratch);

}  // namespace tapestry::kernels
