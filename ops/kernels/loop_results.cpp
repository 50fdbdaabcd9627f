// The results of reductions: gathered block by block, combined chunk by chunk, stored.
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop_chunk.hpp>

#include <algorithm>
#include <cstring>

namespace tapestry::kernels {
namespace {

void store_run(const Tensors& tensors, const ReducedOutput& reduced, const std::byte* accumulators,
               std::int64_t from, std::int64_t to, std::int64_t stride, std::int64_t columns) {
  alignas(kVectorBytes) std::byte results[kRunElements * 8];
  const std::int64_t held = reduced.reducer->bytes;
  std::byte* output = static_cast<std::byte*>(tensors.outputs[std::size_t(reduced.output)]);
  for (std::int64_t i = 0; i < columns; i += kRunElements) {
    const std::int64_t run = std::min(kRunElements, columns - i);
    reduced.reducer->finish(accumulators + (from + i) * held, run, reduced.accumulators, results);
    reduced.store(results, output + (to + i * stride) * reduced.element_bytes, 0, stride, 1, run);
  }
}

}  // namespace

void store_results(const LoopPlan& plan, const Tensors& tensors, const ReducedOutput& reduced,
                   const std::byte* accumulators, const Extents& low, const Extents& high) {
  Extents extents{}, to_strides{}, from_strides{}, at{};
  int kept = 0;
  std::int64_t to = 0;
  for (int d = 0; d < plan.rank; ++d) {
    const auto i = std::size_t(d);
    if (reduced.strides[d] == 0) continue;
    to += low[i] * reduced.strides[d];
    if (high[i] - low[i] == 1) continue;
    extents[std::size_t(kept)] = high[i] - low[i];
    to_strides[std::size_t(kept)] = reduced.strides[d];
    from_strides[std::size_t(kept)] = reduced.accumulator_strides[i];
    ++kept;
  }
  const auto last = std::size_t(std::max(kept - 1, 0));
  const std::int64_t columns = kept == 0 ? 1 : extents[last];
  std::int64_t rows = 1, from = 0;
  for (std::size_t i = 0; i < last; ++i) rows *= extents[i];
  for (std::int64_t row = 0; row < rows; ++row) {
    store_run(tensors, reduced, accumulators, from, to, to_strides[last], columns);
    for (auto i = std::int64_t(last) - 1; i >= 0; --i) {
      const auto d = std::size_t(i);
      from += from_strides[d];
      to += to_strides[d];
      if (++at[d] < extents[d]) break;
      from -= extents[d] * from_strides[d];
      to -= extents[d] * to_strides[d];
      at[d] = 0;
    }
  }
}

void Chunk::clear(const ReducedOutput& reduced, std::byte* accumulators) const {
  reduced.reducer->clear(accumulators, reduced.accumulators, reduced.accumulators);
}

void Chunk::clear_panels() {
  panel_rows_ = 0;
  for (const ReducedOutput& reduced : plan_.reduceds) {
    if (reduced.panel)
      std::memset(slot(reduced.slot), 0, std::size_t(plan_.slice_elements * plan_.lane_bytes));
  }
}

void Chunk::flush() {
  gather_panels();
  for (const ReducedOutput& reduced : plan_.reduceds) {
    if (!reduced.in_block && reduced.reducer->flush)
      reduced.reducer->flush(accumulators_ + reduced.offset, reduced.accumulators);
  }
}

void Chunk::gather_panels() {
  for (const ReducedOutput& reduced : plan_.reduceds) {
    if (!reduced.panel) continue;
    reduced.reducer->by_columns(slot(reduced.slot), 1, plan_.slice_elements, accumulators_ + reduced.offset,
                                reduced.accumulators);
  }
}

void Chunk::reduce(const ReducedOutput& reduced) {
  if (reduced.panel) return;
  std::byte* accumulators;
  std::int64_t first = 0;
  if (reduced.in_block) {
    accumulators = arena_ + reduced.offset;
    clear(reduced, accumulators);
  } else {
    accumulators = accumulators_ + reduced.offset;
    for (int d = 0; d <= plan_.split; ++d) {
      const auto i = std::size_t(d);
      first += (at_[i] - low_[i]) * reduced.accumulator_strides[i];
    }
  }
  gather(reduced, accumulators, first);
  if (!reduced.in_block) return;
  if (reduced.reducer->flush) reduced.reducer->flush(accumulators, reduced.accumulators);
  Extents low = at_, high{};
  for (int d = 0; d < plan_.rank; ++d) {
    const auto i = std::size_t(d);
    if (d > plan_.split) low[i] = 0;
    high[i] = d < plan_.split ? low[i] + 1 : d == plan_.split ? low[i] + slices_ : plan_.extents[i];
  }
  store_results(plan_, tensors_, reduced, accumulators, low, high);
}

// Goes over all groups but the last two (one kept, one reduced); those are the reducer's.
void Chunk::gather(const ReducedOutput& reduced, std::byte* accumulators, std::int64_t first) const {
  Extents extents = reduced.group_extents, at{}, strides{};
  extents[0] *= slices_;
  const int groups = reduced.groups, outer = std::max(groups - 2, 0);
  const auto last = std::size_t(groups - 1);
  const std::int64_t columns = extents[last], rows = groups > 1 ? extents[last - 1] : 1;
  std::int64_t kept = 1, count = 1;
  for (int i = groups - 1; i >= 0; --i) {
    const auto g = std::size_t(i);
    if (!reduced.group_kept[g]) continue;
    strides[g] = kept;
    kept *= extents[g];
  }
  for (int i = 0; i < outer; ++i) count *= extents[std::size_t(i)];
  const std::int64_t held = reduced.reducer->bytes;
  const std::byte* from = slot(reduced.slot);
  for (std::int64_t n = 0; n < count; ++n, from += rows * columns * plan_.lane_bytes) {
    (reduced.group_kept[last] ? reduced.reducer->by_columns : reduced.reducer->by_rows)(
        from, rows, columns, accumulators + first * held, reduced.accumulators);
    for (int i = outer - 1; i >= 0; --i) {
      const auto g = std::size_t(i);
      first += strides[g];
      if (++at[g] < extents[g]) break;
      first -= extents[g] * strides[g];
      at[g] = 0;
    }
  }
}

void combine(const LoopPlan& plan, const Tensors& tensors, const ReducedOutput& reduced) {
  Extents cells{};
  std::int64_t cell_count = 1;
  for (int d = 0; d < plan.rank; ++d) {
    const auto i = std::size_t(d);
    cells[i] = reduced.strides[d] == 0 ? 1 : plan.parts[i];
    cell_count *= cells[i];
  }
  parallel_for(cell_count, [&](std::int64_t cell) {
    Extents part{}, low{}, high{};
    for (int d = plan.rank - 1; d >= 0; --d) {
      const auto i = std::size_t(d);
      part[i] = cell % cells[i];
      cell /= cells[i];
      low[i] = part[i] * plan.piece[i];
      high[i] = std::min(low[i] + plan.piece[i], plan.extents[i]);
    }
    std::byte* total = nullptr;
    for (std::int64_t n = 0; n < reduced.parts; ++n) {
      std::int64_t rest = n, chunk = 0, scale = 1;
      for (int d = plan.rank - 1; d >= 0; --d) {
        const auto i = std::size_t(d);
        if (reduced.strides[d] == 0) {
          part[i] = rest % plan.parts[i];
          rest /= plan.parts[i];
        }
        chunk += part[i] * scale;
        scale *= plan.parts[i];
      }
      std::byte* partial = tensors.scratch + chunk * plan.chunk_scratch + reduced.offset;
      if (n == 0) {
        total = partial;
      } else {
        reduced.reducer->combine(total, partial, reduced.accumulators, reduced.accumulators);
      }
    }
    store_results(plan, tensors, reduced, total, low, high);
  });
}

}  // namespace tapestry::kernels
