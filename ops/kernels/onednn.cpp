#include <tapestry/ops/kernels/onednn.hpp>

#include <atomic>
#include <cstdlib>
#include <string_view>

#ifdef TAPESTRY_HAS_ONEDNN
#include <dnnl.hpp>
#include <omp.h>
#endif

namespace tapestry::kernels {
namespace {

#ifdef TAPESTRY_HAS_ONEDNN
constexpr bool kPresent = true;
#else
constexpr bool kPresent = false;
#endif

std::atomic<bool>& in_use() {
  static std::atomic<bool> flag = [] {
    const char* set = std::getenv("TAPESTRY_ONEDNN");
    return kPresent && !(set && std::string_view(set) == "0");
  }();
  return flag;
}

}  // namespace

bool has_onednn() { return kPresent; }
bool onednn_in_use() { return in_use(); }
void use_onednn(bool use) { in_use() = kPresent && use; }

}  // namespace tapestry::kernels
