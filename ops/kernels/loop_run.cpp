#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop_plan.hpp>
#include <tapestry/ops/kernels/random.hpp>

#include <algorithm>
#include <cstring>

namespace tapestry::kernels {
namespace {

struct Tensors {
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  std::byte* scratch;
};

// Calls `f(offset of the row in the tensor, row)` for each innermost row of a walk.
template <class F>
void for_each_row(const Walk& walk, std::int64_t rows, F&& f) {
  Extents extents = walk.extents, at{};
  extents[0] *= rows;
  const int outer = walk.rank - 2;  // the last two are the callee's
  std::int64_t count = 1;
  for (int i = 0; i < outer; ++i) count *= extents[std::size_t(i)];
  std::int64_t offset = 0;
  for (std::int64_t n = 0; n < count; ++n) {
    f(offset, n);
    for (int i = outer - 1; i >= 0; --i) {
      const auto d = std::size_t(i);
      offset += walk.strides[d];
      if (++at[d] < extents[d]) break;
      offset -= extents[d] * walk.strides[d];
      at[d] = 0;
    }
  }
}

/// The last two loops of a walk.
struct Rows {
  std::int64_t count, stride, columns, step;

  Rows(const Walk& walk, std::int64_t rows) {
    const auto last = std::size_t(walk.rank - 1);
    columns = walk.extents[last] * (last == 0 ? rows : 1);
    step = walk.strides[last];
    count = last == 0 ? 1 : walk.extents[last - 1] * (last == 1 ? rows : 1);
    stride = last == 0 ? 0 : walk.strides[last - 1];
  }
};

/// A chunk in progress, on one thread.
class Chunk {
 public:
  Chunk(const LoopPlan& plan, const Tensors& tensors, std::int64_t number)
      : plan_(plan), tensors_(tensors), slots_(reinterpret_cast<std::byte**>(arena_)) {
    for (int d = plan.rank - 1; d >= 0; --d) {
      const auto i = std::size_t(d);
      low_[i] = number % plan.parts[i] * plan.piece[i];
      high_[i] = std::min(low_[i] + plan.piece[i], plan.extents[i]);
      number /= plan.parts[i];
    }
  }

  void run(std::byte* accumulators) {
    accumulators_ = accumulators;
    set_slots();
    at_ = low_;
    const auto split = std::size_t(plan_.split);
    rows_ = std::min(plan_.block_rows, high_[split] - low_[split]);
    for (const Leaf& leaf : plan_.leaves) {
      if (leaf.steady) read(leaf);
    }
    for (const Step& step : plan_.steady_steps) execute(step);
    for (const ReducedOutput& reduced : plan_.reduceds) {
      if (!reduced.in_block) clear(reduced, accumulators_ + reduced.offset);
    }
    do {
      for (at_[split] = low_[split]; at_[split] < high_[split]; at_[split] += plan_.block_rows) {
        rows_ = std::min(plan_.block_rows, high_[split] - at_[split]);
        block();
      }
    } while (next_outer());
    for (const ReducedOutput& reduced : plan_.reduceds) {
      if (!reduced.in_block && reduced.parts == 1)
        store_results(reduced, accumulators_ + reduced.offset, low_, high_);
    }
  }

  /// Stores what accumulators hold for the kept positions in [low, high).
  void store_results(const ReducedOutput& reduced, const std::byte* accumulators, const Extents& low,
                     const Extents& high) const {
    Extents extents{}, to_strides{}, from_strides{}, at{};
    int kept = 0;
    std::int64_t to = 0;
    for (int d = 0; d < plan_.rank; ++d) {
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
      store_run(reduced, accumulators, from, to, to_strides[last], columns);
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

 private:
  std::byte* slot(int number) const { return slots_[number]; }

  void set_slots() {
    for (std::size_t i = 0; i < plan_.slot_offsets.size(); ++i) {
      const std::int64_t offset = plan_.slot_offsets[i];
      if (offset >= LoopPlan::kConstant) {
        const auto& constant = plan_.constants[std::size_t((offset - LoopPlan::kConstant) / kVectorBytes)];
        slots_[i] = const_cast<std::byte*>(constant.bytes.data());  // only ever an operand
      } else if (offset >= 0) {
        slots_[i] = arena_ + offset;
      }
    }
    for (std::size_t i = 0; i < plan_.fulls.size(); ++i) {
      const FullOutput& full = plan_.fulls[i];
      if (full.staging >= 0 && clashes(full)) slots_[full.slot] = arena_ + full.staging;
    }
  }

  bool clashes(const FullOutput& full) const {
    const void* output = tensors_.outputs[std::size_t(full.output)];
    return std::any_of(full.clashes.begin(), full.clashes.end(),
                       [&](int input) { return tensors_.inputs[std::size_t(input)] == output; });
  }

  bool is_staged(const FullOutput& full) const {
    return full.staging >= 0 && slots_[full.slot] == arena_ + full.staging;
  }

  // Moves to the next block's outer position; false after the last.
  bool next_outer() {
    for (int d = plan_.split - 1; d >= 0; --d) {
      const auto i = std::size_t(d);
      if (++at_[i] < high_[i]) return true;
      at_[i] = low_[i];
    }
    return false;
  }

  /// Of the block's first element, in elements.
  std::int64_t offset(const Shape& strides) const {
    std::int64_t sum = 0;
    for (int d = 0; d <= plan_.split; ++d) sum += at_[std::size_t(d)] * strides[d];
    return sum;
  }

  /// From this block's first element to the next's.
  std::int64_t next_offset(const Shape& strides) const {
    const auto split = std::size_t(plan_.split);
    if (at_[split] + plan_.block_rows < high_[split] || split == 0)
      return plan_.block_rows * strides[plan_.split];
    return strides[plan_.split - 1] - (at_[split] - low_[split]) * strides[plan_.split];
  }

  std::int64_t count() const { return rows_ * plan_.row_elements; }

  void block() {
    for (const FullOutput& full : plan_.fulls) {
      if (full.direct && !is_staged(full)) slots_[full.slot] = place(full);
    }
    for (const Leaf& leaf : plan_.leaves) {
      if (!leaf.steady) read(leaf);
    }
    if (plan_.fetches) {
      for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
        fetch(i);
        execute(plan_.steps[i]);
      }
    } else {
      for (const Step& step : plan_.steps) execute(step);
    }
    for (const ReducedOutput& reduced : plan_.reduceds) reduce(reduced);
    for (const FullOutput& full : plan_.fulls) {
      if (!full.direct) write(full);
    }
    for (const FullOutput& full : plan_.fulls) {  // last: it may overwrite inputs
      if (full.direct && is_staged(full)) unstage(full);
    }
  }

  std::byte* place(const FullOutput& full) const {
    return static_cast<std::byte*>(tensors_.outputs[std::size_t(full.output)]) +
           offset(full.strides) * full.element_bytes;
  }

  void read(const Leaf& leaf) {
    const std::int64_t first = offset(leaf.strides);
    const std::byte* from = nullptr;
    if (leaf.input >= 0) {
      from = static_cast<const std::byte*>(tensors_.inputs[std::size_t(leaf.input)]) +
             first * leaf.element_bytes;
      if (leaf.kind == Leaf::Kind::direct) {
        slots_[leaf.slot] = const_cast<std::byte*>(from);  // only ever an operand
        return;
      }
    }
    std::byte* to = slot(leaf.slot);
    if (leaf.random) {
      const auto& key = *static_cast<const RandomKey*>(tensors_.inputs[std::size_t(leaf.input)]);
      const auto n = std::size_t(count());
      if (plan_.lane_bytes == 4)
        random_uniform(key, first, {reinterpret_cast<float*>(to), n});
      else
        random_uniform(key, first, {reinterpret_cast<double*>(to), n});
      return;
    }
    if (leaf.kind == Leaf::Kind::scalar) {
      const std::int64_t lanes = kVectorBytes / plan_.lane_bytes;
      leaf.input < 0 ? leaf.iota(first, 0, 0, 1, lanes, to) : leaf.load(from, 0, 0, 1, lanes, to);
      return;
    }
    const Rows rows(leaf.walk, rows_);
    for_each_row(leaf.walk, rows_, [&](std::int64_t at, std::int64_t n) {
      std::byte* block = to + n * rows.count * rows.columns * plan_.lane_bytes;
      if (leaf.input < 0) {
        leaf.iota(first + at, rows.stride, rows.step, rows.count, rows.columns, block);
      } else {
        leaf.load(from + at * leaf.element_bytes, rows.stride, rows.step, rows.count, rows.columns, block);
      }
    });
  }

  /// Asks for a part of what the next block will read.
  void fetch(std::size_t step) const {
    const std::int64_t bytes = count() * plan_.lane_bytes, steps = std::int64_t(plan_.steps.size());
    const std::int64_t first = bytes * std::int64_t(step) / steps,
                       last = bytes * std::int64_t(step + 1) / steps;
    for (const Leaf& leaf : plan_.leaves) {
      if (leaf.kind != Leaf::Kind::direct || leaf.steady) continue;
      const std::byte* next = slot(leaf.slot) + next_offset(leaf.strides) * leaf.element_bytes;
      for (std::int64_t at = first; at < last; at += 64) __builtin_prefetch(next + at, 0, 2);
    }
  }

  void execute(const Step& step) {
    Source sources[4];
    for (int k = 0; k < step.operands; ++k) {
      const auto i = std::size_t(k);
      sources[k] = {slots_[step.slots[i]], step.steps[i]};
    }
    step.sweep(sources, slots_[step.result], step.scalar ? kVectorBytes / plan_.lane_bytes : count());
  }

  void unstage(const FullOutput& full) {
    std::memcpy(place(full), slot(full.slot), std::size_t(count() * plan_.lane_bytes));
  }

  void write(const FullOutput& full) {
    const std::byte* from = slot(full.slot);
    std::byte* to = place(full);
    const Rows rows(full.walk, rows_);
    for_each_row(full.walk, rows_, [&](std::int64_t at, std::int64_t n) {
      full.store(from + n * rows.count * rows.columns * plan_.lane_bytes, to + at * full.element_bytes,
                 rows.stride, rows.step, rows.count, rows.columns);
    });
  }

  void clear(const ReducedOutput& reduced, std::byte* accumulators) const {
    reduced.reducer->clear(accumulators, reduced.accumulators, reduced.accumulators);
  }

  void reduce(const ReducedOutput& reduced) {
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
    Extents low = at_, high{};
    for (int d = 0; d < plan_.rank; ++d) {
      const auto i = std::size_t(d);
      if (d > plan_.split) low[i] = 0;
      high[i] = d < plan_.split ? low[i] + 1 : d == plan_.split ? low[i] + rows_ : plan_.extents[i];
    }
    store_results(reduced, accumulators, low, high);
  }

  // Goes over all groups but the last two (one kept, one reduced); those are the reducer's.
  void gather(const ReducedOutput& reduced, std::byte* accumulators, std::int64_t first) {
    Extents extents = reduced.group_extents, at{}, strides{};
    extents[0] *= rows_;
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

  void store_run(const ReducedOutput& reduced, const std::byte* accumulators, std::int64_t from,
                 std::int64_t to, std::int64_t stride, std::int64_t columns) const {
    alignas(kVectorBytes) std::byte results[kRunElements * 8];
    const std::int64_t held = reduced.reducer->bytes;
    std::byte* output = static_cast<std::byte*>(tensors_.outputs[std::size_t(reduced.output)]);
    for (std::int64_t i = 0; i < columns; i += kRunElements) {
      const std::int64_t run = std::min(kRunElements, columns - i);
      reduced.reducer->finish(accumulators + (from + i) * held, run, reduced.accumulators, results);
      reduced.store(results, output + (to + i * stride) * reduced.element_bytes, 0, stride, 1, run);
    }
  }

  const LoopPlan& plan_;
  const Tensors& tensors_;
  std::byte** slots_;
  std::byte* accumulators_ = nullptr;
  Extents low_{}, high_{}, at_{};
  std::int64_t rows_ = 0;
  alignas(kVectorBytes) std::byte arena_[kArenaBytes];
};

// Adds up what the chunks gathered for the same results, in the order of the chunks.
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
    Chunk(plan, tensors, 0).store_results(reduced, total, low, high);
  });
}

}  // namespace

void run_plan(const LoopPlan& plan, std::span<const void* const> inputs, std::span<void* const> outputs,
              std::byte* scratch) {
  const Tensors tensors{inputs, outputs, scratch};
  parallel_for(plan.chunks, [&](std::int64_t chunk) {
    Chunk(plan, tensors, chunk).run(scratch + chunk * plan.chunk_scratch);
  });
  for (const ReducedOutput& reduced : plan.reduceds) {
    if (reduced.parts > 1) combine(plan, tensors, reduced);
  }
}

}  // namespace tapestry::kernels
