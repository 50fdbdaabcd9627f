// For tests: pretend that the CPU has certain instruction sets only.
#pragma once

#include <cstdint>
#include <vector>

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

/// The instruction sets that our matrix products are compiled for, of those that this CPU has.
inline std::vector<std::int64_t> targets_of_products() {
  std::vector<std::int64_t> targets;
  for (const std::int64_t target : {HWY_AVX3, HWY_AVX2})
    if (hwy::SupportedTargets() & target) targets.push_back(target);
  return targets;
}

}  // namespace tapestry
