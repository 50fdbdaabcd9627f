// A C++ function over variables, recorded and compiled at its first call with each signature of argument
// types:
//
//   Function step = [&](Var x, Var y) { return mean_squared_error(model(x), y); };
//   double loss = step(images, labels).item();   // traces, compiles, runs; later calls only run
//
// It is for one thread at a time; calls that overlap are an Error where they are seen.
#pragma once

#include <tapestry/core/run/program.hpp>

#include <array>
#include <concepts>
#include <deque>
#include <functional>
#include <map>
#include <utility>

namespace tapestry {

class Function {
 public:
  /// Records on the tape given the arguments; returns the outputs.
  using Trace = std::function<std::vector<Var>(Tape& tape, std::span<const Var> arguments)>;

  /// `arity` arguments; the trace may also declare updates of State.
  Function(int arity, Trace trace, CompileOptions options = {}, Location at = Location::current())
      : arity_(arity), trace_(std::move(trace)), options_(std::move(options)), at_(at) {}

  /// From a callable over up to eight Vars that returns a Var or a vector of them.
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, Function>)
      Function(F f, CompileOptions options = {}, Location at = Location::current())
      : options_(std::move(options)), at_(at) {
    bind<F, 1>(std::move(f));
  }

  /// Runs on arguments in order and returns the first output, valid until the next call.
  template <std::same_as<Tensor>... Tensors>
  const Tensor& operator()(const Tensors&... arguments) {
    const std::array<ConstView, sizeof...(arguments)> given{arguments.view()...};
    return first(run(given));
  }
  /// The same with all outputs.
  const std::vector<Tensor>& run(std::span<const ConstView> arguments);

  /// What it records for these argument types, before any pass; the arguments are made at the line that made
  /// the Function.
  Graph record(std::span<const Type> types);

  /// Watches all programs of this function from now on: see Program::profile.
  void profile(Profiler* profiler, std::string name = "step");

  /// The program for these argument types, compiled if it wasn't yet.
  Program& program(std::span<const Type> types);
  Program& program(std::span<const ConstView> arguments);

 private:
  template <class F, std::size_t arity>
  void bind(F f) {
    if constexpr (arity > 8) {
      static_assert(arity <= 8, "a Function takes a callable over one to eight Vars");
    } else if constexpr (callable<F>(std::make_index_sequence<arity>())) {
      arity_ = int(arity);
      trace_ = [f = std::move(f)](Tape&, std::span<const Var> x) mutable {
        return call(f, x, std::make_index_sequence<arity>());
      };
    } else {
      bind<F, arity + 1>(std::move(f));
    }
  }
  template <class F, std::size_t... i>
  static constexpr bool callable(std::index_sequence<i...>) {
    return std::invocable<F&, decltype((void(i), std::declval<Var>()))...>;
  }
  template <class F, std::size_t... i>
  static std::vector<Var> call(F& f, std::span<const Var> x, std::index_sequence<i...>) {
    if constexpr (std::same_as<decltype(f(x[i]...)), Var>) {
      return {f(x[i]...)};
    } else {
      return f(x[i]...);
    }
  }

  static const Tensor& first(const std::vector<Tensor>& outputs);
  std::vector<Var> trace(Tape& tape, std::span<const Type> types);

  struct Entry {
    std::vector<Type> types;
    Program program;
  };
  int arity_ = 0;
  Trace trace_;
  CompileOptions options_;
  Location at_ = Location::current();
  std::deque<Entry> cache_;  // a handful: full batch, last batch
  Profiler* profiler_ = nullptr;
  std::string profiled_as_;
};

}  // namespace tapestry
