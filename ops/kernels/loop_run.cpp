#include <tapestry/core/run/parallel.hpp>
#include <tapestry/ops/kernels/loop_chunk.hpp>
#include <tapestry/ops/kernels/loop_drawing.hpp>
#include <tapestry/ops/kernels/random.hpp>

#include <algorithm>
#include <cstring>
#include <new>

namespace tapestry::kernels {
namespace {

/// Of a vector of f32.
constexpr std::int64_t kLanes = kVectorBytes / 4;

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

}  // namespace

Chunk::Chunk(const LoopPlan& plan, const Tensors& tensors, std::int64_t number)
    : plan_(plan), tensors_(tensors), slots_(reinterpret_cast<std::byte**>(arena_)) {
  for (int d = plan.rank - 1; d >= 0; --d) {
    const auto i = std::size_t(d);
    low_[i] = number % plan.parts[i] * plan.piece[i];
    high_[i] = std::min(low_[i] + plan.piece[i], plan.extents[i]);
    number /= plan.parts[i];
  }
}

Chunk::Chunk(const LoopPlan& plan, const Tensors& tensors, std::int64_t first, std::int64_t last)
    : plan_(plan), tensors_(tensors), slots_(reinterpret_cast<std::byte**>(arena_)) {
  high_ = plan.extents;
  low_[0] = first;
  high_[0] = last;
}

void Chunk::run(std::byte* accumulators) {
  accumulators_ = accumulators;
  set_slots();
  at_ = low_;
  const auto split = std::size_t(plan_.split);
  slices_ = std::min(plan_.block_slices, high_[split] - low_[split]);
  for (const Leaf& leaf : plan_.leaves) {
    if (leaf.drawing >= 0) new (slot(leaf.drawing)) Drawing(key_of(leaf));
    if (leaf.steady) read(leaf);
  }
  for (const Step& step : plan_.steady_steps) execute(step);
  for (const ReducedOutput& reduced : plan_.reduceds) {
    if (!reduced.in_block) clear(reduced, accumulators_ + reduced.offset);
  }
  clear_panels();
  do {
    for (at_[split] = low_[split]; at_[split] < high_[split]; at_[split] += plan_.block_slices) {
      slices_ = std::min(plan_.block_slices, high_[split] - at_[split]);
      block();
    }
  } while (next_outer());
  flush();
  if (plan_.streams) flush_streams();
  for (const ReducedOutput& reduced : plan_.reduceds) {
    if (!reduced.in_block && reduced.parts == 1)
      store_results(plan_, tensors_, reduced, accumulators_ + reduced.offset, low_, high_);
  }
}

// --- Slots ---

void Chunk::set_slots() {
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
    if (full.staging >= 0 && (clashes(full) || streams(full))) slots_[full.slot] = arena_ + full.staging;
  }
  const auto in_segment = [](const FullOutput& full) { return full.in_segment; };
  streams_ = std::ranges::any_of(plan_.fulls, in_segment) &&
             std::ranges::all_of(plan_.fulls,
                                 [&](const FullOutput& full) { return !in_segment(full) || streams(full); });
}

/// Can segments write this block's outputs past the caches themselves?
bool Chunk::aligned() const {
  const std::int64_t columns = plan_.loop.row ? plan_.row_elements : plan_.slice_elements;
  if (columns % kLanes != 0 && std::ranges::any_of(plan_.calls, &LoopPlan::Call::has_rows)) return false;
  return std::ranges::all_of(plan_.fulls, [&](const FullOutput& full) {
    return !full.in_segment || std::uintptr_t(place(full)) % std::uintptr_t(kLanes * full.element_bytes) == 0;
  });
}

bool Chunk::clashes(const FullOutput& full) const {
  const void* output = tensors_.outputs[std::size_t(full.output)];
  return std::any_of(full.clashes.begin(), full.clashes.end(),
                     [&](int input) { return tensors_.inputs[std::size_t(input)] == output; });
}

bool Chunk::streams(const FullOutput& full) const {
  const void* output = tensors_.outputs[std::size_t(full.output)];
  return full.streams && std::ranges::find(tensors_.inputs, output) == tensors_.inputs.end();
}

bool Chunk::is_staged(const FullOutput& full) const {
  return full.staging >= 0 && slots_[full.slot] == arena_ + full.staging;
}

// --- Position ---

// Moves to the next block's outer position; false after the last.
bool Chunk::next_outer() {
  for (int d = plan_.split - 1; d >= 0; --d) {
    const auto i = std::size_t(d);
    if (++at_[i] < high_[i]) return true;
    at_[i] = low_[i];
  }
  return false;
}

/// Of the block's first element, in elements.
std::int64_t Chunk::offset(const Shape& strides) const {
  std::int64_t sum = 0;
  for (int d = 0; d <= plan_.split; ++d) sum += at_[std::size_t(d)] * strides[d];
  return sum;
}

/// From this block's first element to the next's.
std::int64_t Chunk::next_offset(const Shape& strides) const {
  const auto split = std::size_t(plan_.split);
  if (at_[split] + plan_.block_slices < high_[split] || split == 0)
    return plan_.block_slices * strides[plan_.split];
  return strides[plan_.split - 1] - (at_[split] - low_[split]) * strides[plan_.split];
}

std::int64_t Chunk::count(Level level) const {
  const std::int64_t elements = slices_ * plan_.slice_elements;
  return level == Level::element ? elements
         : level == Level::row   ? elements / plan_.row_elements
                                 : kVectorBytes / plan_.lane_bytes;
}

// --- A block ---

void Chunk::block() {
  writes_past_ = streams_ && aligned();
  for (const FullOutput& full : plan_.fulls) {
    if (full.in_segment && streams_) {
      slots_[full.slot] = writes_past_ ? place(full) : arena_ + full.staging;
    } else if (full.direct && !is_staged(full)) {
      slots_[full.slot] = place(full);
    }
  }
  for (const Leaf& leaf : plan_.leaves) {
    if (!leaf.steady) read(leaf);
  }
  if (panel_rows_ + slices_ > kMostPanelRows) {
    gather_panels();
    clear_panels();
  }
  panel_rows_ += slices_;
  if (plan_.fetches) {
    for (std::size_t i = 0; i < plan_.calls.size(); ++i) {
      fetch(i);
      call(plan_.calls[i]);
    }
  } else {
    for (const LoopPlan::Call& each : plan_.calls) call(each);
  }
  for (const ReducedOutput& reduced : plan_.reduceds) reduce(reduced);
  for (const FullOutput& full : plan_.fulls) {
    if (!full.direct) write(full);
  }
  for (const FullOutput& full : plan_.fulls) {  // last: it may overwrite inputs
    if (full.direct && is_staged(full)) unstage(full);
  }
}

std::byte* Chunk::place(const FullOutput& full) const {
  return static_cast<std::byte*>(tensors_.outputs[std::size_t(full.output)]) +
         offset(full.strides) * full.element_bytes;
}

/// The block's first element of an input.
const std::byte* Chunk::source(const Leaf& leaf) const {
  const auto input = std::size_t(leaf.input);
  std::int64_t first = offset(leaf.strides);
  const void* data = tensors_.inputs[input];
  if (tensors_.part && tensors_.part->input == input) {
    data = tensors_.part->data;
    first -= low_[0] * leaf.strides[0];
  }
  return static_cast<const std::byte*>(data) + first * leaf.element_bytes;
}

const RandomKey& Chunk::key_of(const Leaf& leaf) const {
  return *static_cast<const RandomKey*>(tensors_.inputs[std::size_t(leaf.input)]);
}

void Chunk::start_drawing() {
  for (const Leaf& leaf : plan_.leaves) {
    if (leaf.drawing < 0) continue;
    auto* buffer = reinterpret_cast<std::uint32_t*>(arena_ + plan_.slot_offsets[std::size_t(leaf.slot)]);
    slots_[leaf.slot] =
        reinterpret_cast<std::byte*>(reinterpret_cast<Drawing*>(slot(leaf.drawing))
                                         ->start(offset(leaf.strides), count(Level::element), buffer));
  }
}

void Chunk::read(const Leaf& leaf) {
  const std::int64_t first = offset(leaf.strides);
  const std::byte* from = nullptr;
  if (leaf.input >= 0 && !leaf.random) {
    from = source(leaf);
    if (leaf.kind == Leaf::Kind::direct) {
      slots_[leaf.slot] = const_cast<std::byte*>(from);  // only ever an operand
      return;
    }
  }
  std::byte* to = slot(leaf.slot);
  if (leaf.random) {
    const RandomKey& key = key_of(leaf);
    const auto n = std::size_t(count(Level::element));
    if (leaf.drawing >= 0) return;  // start_drawing() at each segment
    if (plan_.lane_bytes == 4) {
      const float* meanwhile = nullptr;
      if (leaf.meanwhile >= 0)
        meanwhile = reinterpret_cast<const float*>(source(plan_.leaves[std::size_t(leaf.meanwhile)]));
      random_uniform(key, first, {reinterpret_cast<float*>(to), n}, meanwhile);
    } else {
      random_uniform(key, first, {reinterpret_cast<double*>(to), n});
    }
    return;
  }
  if (leaf.kind == Leaf::Kind::scalar) {
    const std::int64_t lanes = kVectorBytes / plan_.lane_bytes;
    leaf.input < 0 ? leaf.iota(first, 0, 0, 1, lanes, to) : leaf.load(from, 0, 0, 1, lanes, to);
    return;
  }
  const Rows rows(leaf.walk, slices_);
  for_each_row(leaf.walk, slices_, [&](std::int64_t at, std::int64_t n) {
    std::byte* block = to + n * rows.count * rows.columns * plan_.lane_bytes;
    if (leaf.input < 0) {
      leaf.iota(first + at, rows.stride, rows.step, rows.count, rows.columns, block);
    } else {
      leaf.load(from + at * leaf.element_bytes, rows.stride, rows.step, rows.count, rows.columns, block);
    }
  });
}

/// Asks for a part of what the next block will read.
void Chunk::fetch(std::size_t call) const {
  const auto calls = std::int64_t(plan_.calls.size());
  for (const Leaf& leaf : plan_.leaves) {
    if (!leaf.is_read() || leaf.fetched) continue;
    const std::int64_t bytes = count(Level::element) * leaf.element_bytes;
    const std::int64_t first = bytes * std::int64_t(call) / calls,
                       last = bytes * std::int64_t(call + 1) / calls;
    const std::byte* next = slot(leaf.slot) + next_offset(leaf.strides) * leaf.element_bytes;
    for (std::int64_t at = first; at < last; at += 64) __builtin_prefetch(next + at, 0, 3);
  }
}

void Chunk::call(const LoopPlan::Call& call) {
  const auto& code = writes_past_ ? call.streaming : call.assembled;
  const Step& step = plan_.steps[std::size_t(call.step)];
  if (!code) return execute(step);
  if (step.draws) start_drawing();
  const std::int64_t rows = !call.has_rows ? 1 : plan_.loop.row ? count(Level::row) : slices_;
  code->run(slots_, rows, count(Level::element) / rows);
}

void Chunk::execute(const Step& step) {
  Source sources[4];
  for (int k = 0; k < step.operands; ++k) {
    const auto i = std::size_t(k);
    sources[k] = {slots_[step.slots[i]], step.steps[i]};
  }
  std::byte* result = slots_[step.result];
  switch (step.kind) {
    case Step::Kind::sweep:
      step.sweep(sources, result, count(step.level));
      break;
    case Step::Kind::each_row: {
      const std::int64_t rows = count(Level::row), elements = plan_.row_elements;
      for (std::int64_t row = 0; row < rows; ++row, result += elements * plan_.lane_bytes) {
        step.sweep(sources, result, elements);
        for (int k = 0; k < step.operands; ++k) {
          sources[k].data = static_cast<const std::byte*>(sources[k].data) + step.strides[std::size_t(k)];
        }
      }
      break;
    }
    case Step::Kind::fold:
      fold(step);
      break;
    case Step::Kind::pick:
      plan_.loop.lane == Lane::f32   ? pick<float>(step)
      : plan_.loop.lane == Lane::f64 ? pick<double>(step)
                                     : pick<std::int64_t>(step);
      break;
    case Step::Kind::repeat:
      step.load(sources[0].data, 1, 0, count(Level::row), step.repeats, result);
      break;
    case Step::Kind::single:
    case Step::Kind::segment:
      break;
  }
}

void Chunk::fold(const Step& step) const {
  alignas(kVectorBytes) std::byte accumulators[kRunElements * 2 * sizeof(double)];
  const std::int64_t rows = count(Level::row), row_bytes = plan_.row_elements * plan_.lane_bytes;
  for (std::int64_t row = 0; row < rows; row += kRunElements) {
    const std::int64_t run = std::min(kRunElements, rows - row);
    step.reducer->clear(accumulators, run, run);
    step.reducer->by_rows(slot(step.slots[0]) + row * row_bytes, run, plan_.row_elements, accumulators, run);
    step.reducer->finish(accumulators, run, run, slot(step.result) + row * plan_.lane_bytes);
  }
}

template <class T>
void Chunk::pick(const Step& step) const {
  const T* numbers = reinterpret_cast<const T*>(slot(step.slots[1]));
  T* result = reinterpret_cast<T*>(slot(step.result));
  const std::byte* row = slot(step.slots[0]);
  for (std::int64_t n = count(Level::row); n > 0; --n, row += step.strides[0], ++numbers, ++result) {
    const T number = *numbers;  // whose place the result may take
    T value = 0;
    if (number >= 0 && number < T(plan_.row_elements) && T(std::int64_t(number)) == number) {
      step.load(row + std::int64_t(number) * step.steps[0], 0, 0, 1, 1, &value);
    }
    *result = value + T(0);  // -0 becomes 0, as in a sum
  }
}

void Chunk::unstage(const FullOutput& full) {
  const std::int64_t bytes = count(full.level) * full.element_bytes;
  if (streams(full)) {
    plan_.stream(slot(full.slot), place(full), bytes);
  } else {
    std::memcpy(place(full), slot(full.slot), std::size_t(bytes));
  }
}

void Chunk::write(const FullOutput& full) {
  const std::byte* from = slot(full.slot);
  std::byte* to = place(full);
  const Rows rows(full.walk, slices_);
  for_each_row(full.walk, slices_, [&](std::int64_t at, std::int64_t n) {
    full.store(from + n * rows.count * rows.columns * plan_.lane_bytes, to + at * full.element_bytes,
               rows.stride, rows.step, rows.count, rows.columns);
  });
}

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

void run_rows(const LoopPlan& plan, const CompiledLoop::Rows& rows, const CompiledLoop::PartOfInput& part,
              std::span<const void* const> inputs, std::span<void* const> outputs) {
  const Tensors tensors{inputs, outputs, nullptr, part};
  // Inner dimensions may have been merged into the outermost one.
  const std::int64_t each = plan.extents[0] / plan.loop.extents[0];
  Chunk(plan, tensors, rows.first * each, rows.last * each).run(nullptr);
}

}  // namespace tapestry::kernels
