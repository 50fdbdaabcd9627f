// A compiled step: kernels in order over one arena, run many times without allocating.
#pragma once

#include <tapestry/core/tape.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tapestry {

/// What heavy ops compute in: f32 as recorded, or bf16 with sums in f32 (core/compile/precision.hpp).
enum class Precision : std::uint8_t { f32, bf16 };

struct CompileOptions {
  /// Passes switched off by name: "fold_constants", "simplify", "cse", "fuse", "recompute", "in_place",
  /// "views", "epilogues".
  std::vector<std::string> without{};
  Precision precision = Precision::f32;
  /// Results of kernels of at least so many bytes are made in parts for the loop that alone reads them,
  /// instead of kEpilogueBytes (core/compile/epilogues.hpp).
  std::optional<std::size_t> epilogue_bytes{};
  /// A step whose outputs aren't all finite throws NotFinite and changes no State.
  bool require_finite = false;
  /// Check the graph after each pass.
  bool verify =
#ifdef NDEBUG
      false;
#else
      true;
#endif
};

/// An output became NaN or infinite; names the first op that made such a value of finite ones.
class NotFinite : public Error {
 public:
  using Error::Error;
};

/// Known before the first step.
struct ProgramSummary {
  std::size_t tasks = 0;        // kernel calls a step
  double flops = 0;             // additions, multiplications and function calls a step
  std::size_t arena_bytes = 0;  // intermediate values, at the peak
  std::size_t output_bytes = 0;
  std::size_t state_bytes = 0;  // parameters, statistics and moments that the step touches
  std::size_t constant_bytes = 0;
  std::size_t kernel_bytes = 0;  // what kernels keep for the threads there are; all programs share it
  std::string precision{};       // what was cast to bf16, if that was asked for
  std::size_t peak_bytes() const {
    return arena_bytes + output_bytes + state_bytes + constant_bytes + kernel_bytes;
  }
};

class Profiler;
struct Plan;

class Program {
 public:
  Program(const Graph& graph, const CompileOptions& options);
  ~Program();
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;

  /// One step. Arguments in the order of their declaration; throws if a type differs. A step that throws has
  /// changed no State. For one thread at a time, as its outputs are: steps of one program that overlap are an
  /// Error. Programs that share State without writing it may run at once.
  void run(std::span<const ConstView> arguments);
  void run(std::span<const Tensor> arguments = {});
  /// The results of the last step; overwritten by the next unless a copy is kept.
  const std::vector<Tensor>& outputs() const;
  const Tensor& output(std::size_t i = 0) const;

  /// Steps from now on are watched by `profiler`, which outlives them, under this name; null ends that.
  void profile(Profiler* profiler, const std::string& name = "step");

  /// The graph after all passes, and its tasks and places in memory.
  const Graph& graph() const;
  const Plan& plan() const;
  const ProgramSummary& summary() const;

 private:
  struct Impl;
  Impl& impl() const;  // throws if this was moved from
  std::unique_ptr<Impl> impl_;
};

/// Compiles what has been recorded so far: the outputs, and all declared updates. The tape stays as it is.
Program compile(const Tape& tape, std::span<const Var> outputs, const CompileOptions& options = {});
Program compile(const Var& output, const CompileOptions& options = {});

}  // namespace tapestry
