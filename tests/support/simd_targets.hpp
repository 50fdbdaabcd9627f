// For tests: pretend that the CPU has certain instruction sets only.
#pragma once

#include <cstdint>

#include <hwy/targets.h>

namespace tapestry {

/// Until its end; `targets` is a mask of HWY_AVX2 and the like, 0 for all that there are.
class SimdTargets {
 public:
  explicit SimdTargets(std::int64_t targets) { use(targets); }
  ~SimdTargets() { use(0); }
  SimdTargets(const SimdTargets&) = delete;
  SimdTargets& operator=(const SimdTargets&) = delete;

 private:
  static void use(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

}  // namespace tapestry
