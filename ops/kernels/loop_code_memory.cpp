#include <tapestry/ops/kernels/loop_assemble.hpp>
#include <tapestry/ops/kernels/targets.hpp>

#include <cstring>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/mman.h>
#define TAPESTRY_MAKES_CODE 1
#else
#define TAPESTRY_MAKES_CODE 0
#endif

// The order matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tapestry/ops/kernels/loop_code_memory.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

bool has_avx512() { return HWY_TARGET == HWY_AVX3; }

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
HWY_EXPORT(has_avx512);

bool assembles() { return TAPESTRY_MAKES_CODE && HWY_DYNAMIC_DISPATCH(has_avx512)(); }

#if TAPESTRY_MAKES_CODE
// Never writable and executable at once.
AssembledSegment::AssembledSegment(const std::vector<std::uint8_t>& code,
                                   const std::vector<float>& constants) {
  const std::size_t before = constants.size() * sizeof(float);
  bytes_ = before + code.size();
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  memory_ = memory;
  auto* at = static_cast<std::byte*>(memory);
  if (before > 0) std::memcpy(at, constants.data(), before);
  std::memcpy(at + before, code.data(), code.size());
  if (mprotect(memory, bytes_, PROT_READ | PROT_EXEC) != 0) return;
  function_ = reinterpret_cast<Function>(at + before);
}

AssembledSegment::~AssembledSegment() {
  if (memory_) munmap(memory_, bytes_);
}
#else
AssembledSegment::AssembledSegment(const std::vector<std::uint8_t>&, const std::vector<float>&) {}
AssembledSegment::~AssembledSegment() = default;
#endif

}  // namespace tapestry::kernels
#endif
