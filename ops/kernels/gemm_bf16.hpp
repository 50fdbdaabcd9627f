// Matrix products of bf16 matrices, summed in f32: by AMX where the CPU has it, else by oneDNN where it is
// present, otherwise by our f32 kernels on blocks of the operands converted. Tiles follow from the shape
// alone, so the number of threads changes no bit; these ways sum in different orders.
#pragma once

#include <tapestry/core/dtype.hpp>
#include <tapestry/ops/kernels/gemm.hpp>

#include <cstddef>

namespace tapestry::kernels {

/// As gemm(). Each element is a sum in f32; if C is bf16 it is rounded once, when it is stored. T is float or
/// bf16.
template <class T>
void gemm_bf16(const GemmShape& shape, const bf16* a, const bf16* b, T* c);

/// Makes what this product needs besides its operands, for the threads there are now, and returns its bytes.
std::size_t reserve_for_gemm_bf16(const GemmShape& shape, DType result);

/// Whether this CPU multiplies bf16 numbers itself (AVX512-BF16 or AMX). Others convert them to f32 first.
bool cpu_multiplies_bf16();

}  // namespace tapestry::kernels
