// What CompiledLoop prepares: how the iteration space is cut, and what happens to each block.
//
// Dimensions that every operand walks as one are merged. The space is cut into chunks, boxes that threads
// take as they are free; their borders follow from the loop alone. A chunk is worked through in blocks: some
// slices of dimension `split` times everything within it, few enough elements to stay in the L1 cache. An
// operand that lies in memory as the block wants it is read and written where it is; the others pass through
// a small arena on the stack.
#pragma once

#include <tapestry/ops/kernels/loop.hpp>
#include <tapestry/ops/kernels/loop_assemble.hpp>
#include <tapestry/ops/kernels/loop_tables.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace tapestry::kernels {

/// Operands of so many bytes aren't in the caches that are near, and loops over them wait for memory.
inline constexpr std::int64_t kMuchMemory = 2 * 1024 * 1024;

using Extents = std::array<std::int64_t, kMaxRank>;

/// The arena of a chunk in progress: slot pointers, repeated scalars, blocks.
inline constexpr std::int64_t kArenaBytes = 512 * 1024;
/// Results of reductions are stored in runs of at most so many.
inline constexpr std::int64_t kRunElements = 256;
/// Elements of a column that are added up in f32 at most.
inline constexpr std::int64_t kMostPanelRows = 64;

/// Where the elements of a block lie in a tensor: nested loops, outermost first, over extents[i] steps of
/// strides[i]. The first extent is for one row of the block.
struct Walk {
  int rank = 0;
  Extents extents{}, strides{};
};

inline constexpr bool reduces_row(Code code) { return code >= Code::row_sum; }
/// 1 without rows.
std::int64_t elements_of_row(const Loop& loop);

/// Which values of a loop are the same for all elements of a row.
class RowValues {
 public:
  explicit RowValues(const Loop& loop);
  bool operator()(const Operand& operand) const;

 private:
  const Loop& loop_;
  std::vector<bool> results_;
};

/// How many values of an operand a block has: one, one for each of its rows, or one for each element.
enum class Level : std::uint8_t { block, row, element };

/// A value that a block reads: an input, positions, or random numbers.
struct Leaf {
  enum class Kind : std::uint8_t {
    direct,  ///< read where it is, by segments as bf16, too
    scalar,  ///< the same for the whole block: repeated to a vector
    tile,    ///< converted or gathered into the arena
  };
  Kind kind = Kind::direct;
  Level level = Level::element;
  bool steady = false;   ///< the same for all blocks of a chunk
  bool fetched = false;  ///< a segment asks for the next block's, or `meanwhile` does for this one's
  int input = -1;        ///< -1: positions. Of random numbers: the key
  int slot = 0;
  Shape strides{};
  std::int64_t element_bytes = 0;
  Load load = nullptr;
  Iota iota = nullptr;
  bool random = false;
  int drawing = -1;    ///< the slot of a Drawing, by which segments draw random numbers themselves; or -1
  int meanwhile = -1;  ///< the leaf that is asked for while random numbers are drawn
  Walk walk{};

  /// Are its elements read where they are, and new ones by each block?
  bool is_read() const { return kind == Kind::direct && level == Level::element && !steady; }
};

/// One instruction, or a few in one pass; operands and result are slots.
struct Step {
  enum class Kind : std::uint8_t {
    sweep,     ///< over as many values as `level` says
    each_row,  ///< a sweep over each row
    fold,      ///< a row becomes one value
    pick,      ///< one element of each row becomes its value
    repeat,    ///< the value of a row becomes `repeats`
    single,    ///< `code`, to become a part of a segment: only while the plan is made
    segment,   ///< machine code
  };
  Kind kind = Kind::sweep;
  Level level = Level::element;
  Sweep sweep = nullptr;
  const Reducer* reducer = nullptr;
  Load load = nullptr;
  std::int64_t repeats = 0;
  Code code = Code::copy;
  int segment = -1;
  bool of_words = false;  ///< as of a segment's step
  bool draws = false;     ///< the segment does
  bool has_rows = false;  ///< the segment's operands have values for rows
  int operands = 0;
  std::array<int, 4> slots{};
  std::array<std::int64_t, 4> steps{};    ///< 0 for scalars
  std::array<std::int64_t, 4> strides{};  ///< in bytes, from row to row
  std::array<Level, 4> levels{};          ///< of the operands of a single
  int result = 0;
};

/// An output that has every element, or every row.
struct FullOutput {
  int output = 0;
  Level level = Level::element;
  int slot = 0;  ///< of the block to store
  Shape strides{};
  std::int64_t element_bytes = 0;
  /// The slot points into the output itself. Should the output be one of `clashes`, inputs that are still
  /// read after it was written, it points to `staging` in the arena instead until the block is done.
  bool direct = false;
  /// Too large to stay in a cache: if it is no input's memory, it is written past them, from `staging`, too.
  bool streams = false;
  bool in_segment =
      false;  ///< of machine code, which can do that itself; `staging` is there for blocks that it may not
  std::vector<int> clashes{};
  std::int64_t staging = -1;
  Store store = nullptr;
  Walk walk{};
};

struct ReducedOutput {
  int output = 0;
  Level level = Level::element;  ///< of the values that are reduced
  int slot = 0;                  ///< of the block to reduce
  Shape strides{};
  std::int64_t element_bytes = 0;
  const Reducer* reducer = nullptr;
  Store store = nullptr;
  /// A block seen as nested loops that alternate between kept and reduced dimensions; the first extent is for
  /// one row.
  int groups = 0;
  Extents group_extents{};
  std::array<bool, kMaxRank> group_kept{};
  /// Every result lies within one block: then accumulators (at `offset` in the arena) live as long, else as
  /// long as the chunk (at `offset` in its part of scratch).
  bool in_block = false;
  /// Segments add up columns of some blocks in the slot, before these join the accumulators.
  bool panel = false;
  std::int64_t offset = 0;
  std::int64_t accumulators = 0;
  int shares = -1;                ///< the number of the one whose accumulators it has, an earlier one
  Extents accumulator_strides{};  ///< 0 for reduced dimensions
  std::int64_t parts = 1;         ///< chunks that contribute to a result
};

struct LoopPlan {
  Loop loop;
  std::int64_t lane_bytes = 4;

  bool empty = false;  ///< no elements: only identities are stored
  int rank = 0;
  Extents extents{};  ///< after merging
  int row = 0;        ///< the first dimension of a row; `rank` if there are no rows
  std::int64_t row_elements = 1;

  Extents piece{}, parts{};  ///< extents of a chunk, and how many there are along each dimension
  std::int64_t chunks = 1;
  int split = 0;
  std::int64_t block_slices = 1, slice_elements = 1;
  bool streams = false;  ///< large outputs are written past the caches
  Stream stream = nullptr;
  bool fetches = false;  ///< ask for the next block's memory while computing on one

  bool assembles = false;
  std::vector<Segment> segments{};

  std::vector<Leaf> leaves{};
  std::vector<Step> steady_steps{}, steps{};  ///< once a chunk, once a block
  /// Steps [first, end), if there are any, are done for one row after the other: a row then stays in the
  /// first cache until it is done with, memory is read without pauses, and what is computed once a row takes
  /// no calls.
  struct Joined {
    int first = 0, end = 0;
  };
  Joined joined{};
  bool has_joined() const { return joined.end > 0; }
  bool joins = false;  ///< may there be such?
  /// What is called for a block: machine code of a segment or of joined steps, or a step.
  struct Call {
    int step = 0;  ///< the first, if there are several
    bool has_rows = false;
    std::shared_ptr<const AssembledSegment> assembled{};
    /// The same, but that outputs which are to be written past the caches are: if they are well aligned, and
    /// no input's memory.
    std::shared_ptr<const AssembledSegment> streaming{};
  };
  std::vector<Call> calls{};
  std::vector<FullOutput> fulls{};
  std::vector<ReducedOutput> reduceds{};

  /// Slots point into the arena at this offset, or, with kConstant added, into `constants`; -1: elsewhere.
  std::vector<std::int64_t> slot_offsets{};
  static constexpr std::int64_t kConstant = std::int64_t{1} << 32;
  struct alignas(kVectorBytes) Constant {
    std::array<std::byte, kVectorBytes> bytes;
  };
  std::vector<Constant> constants{};
  std::int64_t value_bytes = 0;    ///< of the arena: slots
  std::int64_t arena_bytes = 0;    ///< all of it
  std::int64_t chunk_scratch = 0;  ///< bytes of scratch that a chunk has for itself
};

/// Where a row is added up of which all but the element of one number are 0, that one is read instead.
void read_single_elements(Loop& loop);

/// The iteration space after merging; strides for each input, each instruction (Code::index and
/// Code::uniform: what they count; 0 for others), and each output.
struct Geometry {
  Shape extents;
  int row = 0;
  std::vector<Shape> inputs, positions, outputs;
};
Geometry merge_dimensions(const Loop& loop);

/// Fills in everything about chunks; `weight` is the work for an element, in plain instructions.
void cut_into_chunks(LoopPlan& plan, const Geometry& geometry, std::int64_t weight);
/// Fills in everything about blocks of about `elements`.
void cut_into_blocks(LoopPlan& plan, std::int64_t elements);
/// Fills in leaves, steps, outputs and the arena. False if the arena would be too large.
bool lower(LoopPlan& plan, const Geometry& geometry);

/// Which loops with rows go through the steps of a block row by row. On AMD's CPUs (Zen 4) that takes three
/// quarters of the time where memory is waited for, as the hardware goes on fetching by itself: what it stops
/// at is a block of several rows. Within the caches it takes longer, or as long: what is computed once a row
/// is waited for in each. Intel's are not measured.
enum class Joining : std::uint8_t { none, large, all };
Joining joining_of_this_cpu();
/// Fills in what is called for the steps. False if there are too many values for the registers.
bool make_calls(LoopPlan& plan);

/// Which loops ask for memory before they read it, by an instruction for each cache line. That pays on
/// Intel's CPUs in any loop over more than caches hold. On AMD's (Zen 4) what the hardware fetches by itself
/// comes sooner wherever one pass goes over memory from end to end, the more so the more streams are read:
/// asking takes places in which the first cache waits for its lines, and Adam, of four streams, then takes
/// 1.1 to 1.4 times as long. It pays alone where the hardware stops, between a block's steps, for one stream,
/// or where rows take turns, and most into the second cache.
enum class Fetching : std::uint8_t { all, single_streams };
Fetching fetching_of_this_cpu();
/// Decides which steps ask for what. None of it changes results.
void fetch_ahead(LoopPlan& plan, Fetching fetching);

/// Nothing if the values of a single block don't fit into the arena.
std::optional<LoopPlan> make_plan(const Loop& loop, Use use = Use::often,
                                  Joining joining = joining_of_this_cpu());
void run_plan(const LoopPlan& plan, std::span<const void* const> inputs, std::span<void* const> outputs,
              std::byte* scratch);
void run_rows(const LoopPlan& plan, const CompiledLoop::Rows& rows, const CompiledLoop::PartOfInput& part,
              std::span<const void* const> inputs, std::span<void* const> outputs);

}  // namespace tapestry::kernels
