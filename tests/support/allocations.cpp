#include <tapestry/tests/support/allocations.hpp>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> count = 0;
void note() { count.fetch_add(1, std::memory_order_relaxed); }

struct Block {
  std::byte* begin;
  std::size_t bytes;
};
constexpr std::size_t kBlocks = 4096;  // the newest
Block blocks[kBlocks];
std::size_t block_count = 0;  // by one thread
bool watched = false;

}  // namespace

namespace tapestry::test {

std::size_t allocations() { return count.load(std::memory_order_relaxed); }

BlockWatch::BlockWatch() { watched = true; }
BlockWatch::~BlockWatch() {
  watched = false;
  block_count = 0;
}

std::optional<std::span<std::byte>> BlockWatch::find(std::size_t bytes) const {
  for (std::size_t i = block_count; i-- > 0 && i + kBlocks >= block_count;) {
    if (blocks[i % kBlocks].bytes == bytes) return std::span(blocks[i % kBlocks].begin, bytes);
  }
  return {};
}

}  // namespace tapestry::test

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

// All of the process: C++, the libraries and C go through these, whatever the library that calls. glibc's own
// are there by other names.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t n, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

static void* aligned(std::size_t alignment, std::size_t size) {
  note();
  if (!watched) return __libc_memalign(alignment, size);
  void* memory = __libc_memalign(alignment, size + tapestry::test::BlockWatch::kMargin);
  blocks[block_count++ % kBlocks] = {static_cast<std::byte*>(memory), size};
  return memory;
}

void* malloc(std::size_t size) {
  note();
  return __libc_malloc(size);
}
void* calloc(std::size_t n, std::size_t size) {
  note();
  return __libc_calloc(n, size);
}
void* realloc(void* memory, std::size_t size) {
  note();
  return __libc_realloc(memory, size);
}
void* memalign(std::size_t alignment, std::size_t size) { return aligned(alignment, size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { return aligned(alignment, size); }
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  *memory = aligned(alignment, size);
  return *memory ? 0 : ENOMEM;
}
}

#else

namespace {

void* allocate(std::size_t size, std::size_t alignment) {
  note();
  if (size == 0) size = 1;
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) {
    memory = std::malloc(size);
  } else if (posix_memalign(&memory, alignment, size) != 0) {
    memory = nullptr;
  }
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Sanitizers have allocators of their own. The array forms end up in these.
void* operator new(std::size_t size) { return allocate(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, std::size_t(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept try {
  return allocate(size, 0);
} catch (const std::bad_alloc&) {
  return nullptr;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#endif
