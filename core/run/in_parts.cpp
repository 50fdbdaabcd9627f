#include <tapestry/core/op.hpp>
#include <tapestry/core/run/in_parts.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/scratch.hpp>

#include <algorithm>

namespace tapestry {
namespace {

// Never destroyed: programs may outlive what is.
kernels::Scratch& parts() {
  static kernels::Scratch& instance = *new kernels::Scratch;
  return instance;
}

}  // namespace

std::size_t InParts::bytes() const {
  return node->type.bytes() / std::size_t(node->type.shape[0]) * std::size_t(rows);
}

std::size_t InParts::reserve() const {
  const auto threads = std::size_t(thread_count());
  parts().reserve(bytes(), threads);
  return kernels::Scratch::aligned(bytes()) * threads;
}

void InParts::run(std::span<const ConstView> operands, const kernels::CompiledLoop& loop,
                  std::span<const void* const> sources, std::span<void* const> sinks) const {
  const std::int64_t all = node->type.shape[0];
  parallel_for((all + rows - 1) / rows, [&](std::int64_t index) {
    const kernels::Scratch::Piece memory(parts(), bytes());
    const std::int64_t first = index * rows;
    Type type = node->type;
    type.shape[0] = std::min(rows, all - first);
    node->op->parts.make({operands, {memory.as<std::byte>(), type}, node->attrs}, first);
    loop.run_rows({first, first + type.shape[0]}, {input, memory.as<std::byte>()}, sources, sinks);
  });
}

}  // namespace tapestry
