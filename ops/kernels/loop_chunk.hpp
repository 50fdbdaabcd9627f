// A chunk of a fused loop in progress, on one thread: blocks (loop_run.cpp), and the results of reductions
// (loop_results.cpp).
#pragma once

#include <tapestry/ops/kernels/loop_plan.hpp>
#include <tapestry/ops/kernels/random.hpp>

#include <optional>
#include <span>

namespace tapestry::kernels {

struct Tensors {
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  std::byte* scratch;
  /// An input of which only a chunk is there, if any.
  std::optional<CompiledLoop::PartOfInput> part{};
};

class Chunk {
 public:
  Chunk(const LoopPlan& plan, const Tensors& tensors, std::int64_t number);
  /// All that lies at these positions of the outermost dimension.
  Chunk(const LoopPlan& plan, const Tensors& tensors, std::int64_t first, std::int64_t last);

  /// `accumulators` is the chunk's part of scratch.
  void run(std::byte* accumulators);

 private:
  // Slots
  std::byte* slot(int number) const { return slots_[number]; }
  void set_slots();
  bool clashes(const FullOutput& full) const;
  bool streams(const FullOutput& full) const;
  bool is_staged(const FullOutput& full) const;
  bool aligned() const;

  // Position
  bool next_outer();
  std::int64_t offset(const Shape& strides) const;
  std::int64_t next_offset(const Shape& strides) const;
  std::int64_t count(Level level) const;

  // A block
  void block();
  const std::byte* source(const Leaf& leaf) const;
  void read(const Leaf& leaf);
  void start_drawing();
  const RandomKey& key_of(const Leaf& leaf) const;
  void fetch(std::size_t call) const;
  void call(const LoopPlan::Call& call);
  void execute(const Step& step);
  void fold(const Step& step) const;
  template <class T>
  void pick(const Step& step) const;
  void write(const FullOutput& full);
  std::byte* place(const FullOutput& full) const;
  void unstage(const FullOutput& full);

  // Results of reductions
  void clear(const ReducedOutput& reduced, std::byte* accumulators) const;
  void reduce(const ReducedOutput& reduced);
  void clear_panels();
  void gather_panels();
  void flush();
  void gather(const ReducedOutput& reduced, std::byte* accumulators, std::int64_t first) const;

  const LoopPlan& plan_;
  const Tensors& tensors_;
  std::byte** slots_;
  std::byte* accumulators_ = nullptr;
  Extents low_{}, high_{}, at_{};
  std::int64_t slices_ = 0;
  bool streams_ = false, writes_past_ = false;  // segments past the caches: can they, and do they now?
  std::int64_t panel_rows_ = 0;                 // that panels hold the sum of
  alignas(kVectorBytes) std::byte arena_[kArenaBytes];
};

/// Stores what accumulators hold for the kept positions in [low, high).
void store_results(const LoopPlan& plan, const Tensors& tensors, const ReducedOutput& reduced,
                   const std::byte* accumulators, const Extents& low, const Extents& high);
/// Adds up what the chunks gathered for the same results, in the order of the chunks, and stores it.
void combine(const LoopPlan& plan, const Tensors& tensors, const ReducedOutput& reduced);

}  // namespace tapestry::kernels
