// AMX, the matrix registers of some x86-64 CPUs: eight tiles of 16 rows of 64 bytes, and an instruction that
// multiplies two of them, of bf16, and adds the product to a third, of f32.
#pragma once

#include <cstdint>

namespace tapestry::kernels {

enum class Amx : std::uint8_t {
  never,
  where_it_is,
  emulated,  ///< by AVX512-BF16, slowly: so that its callers are tested on CPUs that have only that
};

/// Whether this CPU has AMX with bf16 and the system lets this process use it.
bool has_amx();

/// `where_it_is`, but `never` if has_amx() is false or TAPESTRY_AMX=0 is in the environment; or what
/// use_amx() said. Ask when a program is compiled and when it runs: the answer may change.
Amx amx_use();
/// For tests and benchmarks. Not while a program runs. Throws where this CPU can't do it.
void use_amx(Amx use);

}  // namespace tapestry::kernels
