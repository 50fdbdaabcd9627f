// Machine code for runs of pointwise instructions of a fused loop: each vector of the operands is read once,
// values stay in registers, results are written once. The same bits as sweep by sweep.
#pragma once

#include <tapestry/ops/kernels/loop.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace tapestry::kernels {

/// Pointwise instructions over values in slots. Values are numbered: inputs first, then one for each step.
struct Segment {
  struct Input {
    enum class From : std::uint8_t { block, row, column, element };  ///< a value for all, for each row, ...
    From from = From::element;
    int slot = 0;
    DType dtype = DType::f32;  ///< of elements, as they lie in a tensor: f32, bf16 or boolean
    int ahead = 0;  ///< bytes: how long before they are read elements are asked for; 0: they are not
    bool into_second = false;  ///< cache, then, not into the first
    /// The slot of the Drawing (loop_drawing.hpp) by which elements are drawn as they are needed, into
    /// `slot`, as words of Philox, which become numbers as they are read; or -1.
    int drawing = -1;
  };
  struct Step {
    Code code = Code::copy;
    std::array<int, 3> operands{};
    bool of_words = false;  ///< of a drawn input's words, `le` or `gt` the second operand, which are bits
  };
  struct Output {
    enum class To : std::uint8_t {
      element,
      bf16,        ///< elements, rounded
      boolean,     ///< elements: are they not 0?
      column_sum,  ///< added to what the slot has for each column
      row,         ///< of a segment that is done once for each row
      row_sum,     ///< one value for each row
      row_max,     ///< NaN if there is one
      row_min,
    };
    int value = 0;
    int slot = 0;
    To to = To::element;
    bool streams = false;  ///< past the caches: whole vectors at multiples of their size

    bool is_of_row() const { return to >= To::row_sum; }
  };
  std::vector<Input> inputs{};
  std::vector<Step> steps{};
  std::vector<Output> outputs{};
  bool is_of_rows = false;  ///< done once for each row: values of the block and of rows become such of rows

  /// Does it matter where rows end?
  bool has_rows() const;
};
using From = Segment::Input::From;
using To = Segment::Output::To;

/// Sums of rows with more columns need more than one partial sum in a lane to be accurate.
inline constexpr std::int64_t kMostSummedColumns = 1024;

/// Can it be a part of a segment?
bool can_assemble(Code code);
/// Does this CPU run what assemble() makes? Where it says no, loops are interpreted.
bool assembles();

class AssembledSegment {
 public:
  AssembledSegment(const std::vector<std::uint8_t>& code, const std::vector<float>& constants);
  ~AssembledSegment();
  AssembledSegment(const AssembledSegment&) = delete;
  AssembledSegment& operator=(const AssembledSegment&) = delete;

  /// Over rows of so many elements, dense and one after the other; without rows over one. The slots of what
  /// is drawn move.
  void run(std::byte** slots, std::int64_t rows, std::int64_t columns) const {
    function_(slots, rows, columns, memory_);
  }
  bool is_runnable() const { return function_ != nullptr; }

 private:
  using Function = void (*)(std::byte** slots, std::int64_t rows, std::int64_t columns,
                            const void* constants);
  void* memory_ = nullptr;  // constants, then code
  std::size_t bytes_ = 0;
  Function function_ = nullptr;
};

/// All of these for the first row, all for the second, and so on. Null if one needs more registers than there
/// are, or if the system lets nobody make code. Who asks for equal ones shares them.
std::shared_ptr<const AssembledSegment> assemble(std::span<const Segment> all);
/// So many are kept track of: at most twice as many as are in use, or 64.
std::size_t remembered_segments();

}  // namespace tapestry::kernels
