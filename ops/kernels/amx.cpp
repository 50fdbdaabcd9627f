#include <tapestry/core/error.hpp>
#include <tapestry/ops/kernels/amx.hpp>
#include <tapestry/ops/kernels/gemm_bf16.hpp>

#include <atomic>
#include <cstdlib>
#include <string_view>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tapestry::kernels {
namespace {

std::atomic<Amx>& use() {
  static std::atomic<Amx> value = [] {
    const char* set = std::getenv("TAPESTRY_AMX");
    const bool refused = set && std::string_view(set) == "0";
    return has_amx() && !refused ? Amx::where_it_is : Amx::never;
  }();
  return value;
}

}  // namespace

bool has_amx() {
#if defined(__x86_64__) && defined(__linux__)
  // The tiles are 8 KiB more for the system to save, so a process has to ask for them, once for all threads:
  // arch_prctl(2), the state component 18 (XTILEDATA).
  static const bool granted = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
                              cpu_multiplies_bf16() && [] {
                                constexpr long kRequestPermission = 0x1023, kTileData = 18;
                                return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
                              }();
  return granted;
#else
  return false;
#endif
}

Amx amx_use() { return use(); }

void use_amx(Amx value) {
  if (value == Amx::where_it_is && !has_amx()) throw Error("this CPU has no AMX");
  if (value == Amx::emulated && !cpu_multiplies_bf16()) throw Error("this CPU has no AVX512-BF16");
  use() = value;
}

}  // namespace tapestry::kernels
