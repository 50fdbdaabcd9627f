#include <tapestry/core/error.hpp>
#include <tapestry/core/memory.hpp>

#include <algorithm>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tapestry {
namespace {

// From so much on small pages cost a walk through tables every 4 KiB, in a virtual machine one through two
// tables, and the hardware's prefetching ends with each.
constexpr std::size_t kFewLargePages = 8 * 1024 * 1024;

}  // namespace

Lines allocate_lines(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  Lines lines(static_cast<std::byte*>(::operator new[](bytes, FreeLines::kAlignment, std::nothrow)));
  require(lines != nullptr, "not enough memory: ", bytes, " bytes were asked for at once");
#if defined(__linux__)
  if (bytes >= kFewLargePages) {
    constexpr std::uintptr_t kPage = 4096;
    const std::size_t before = std::size_t(-reinterpret_cast<std::uintptr_t>(lines.get()) & (kPage - 1));
    madvise(lines.get() + before, bytes - before, MADV_HUGEPAGE);  // if there are none, small ones do
  }
#endif
  return lines;
}

}  // namespace tapestry
