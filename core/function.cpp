#include <tapestry/core/function.hpp>

#include <algorithm>

namespace tapestry {

const Tensor& Function::first(const std::vector<Tensor>& outputs) {
  require(!outputs.empty(), "the function has no outputs: run it by run()");
  return outputs.front();
}

std::vector<Var> Function::trace(Tape& tape, std::span<const Type> types) {
  require(trace_ != nullptr,
          "the function has nothing to record: it was moved to another variable, or made of "
          "an empty std::function");
  require(std::size_t(arity_) == types.size(), "the function takes ", arity_, " arguments, not ",
          types.size());
  std::vector<Var> arguments;
  for (std::size_t i = 0; i < types.size(); ++i)
    arguments.push_back(tape.input(text("argument ", i), types[i], at_));
  return trace_(tape, arguments);
}

Graph Function::record(std::span<const Type> types) {
  Tape tape;
  const std::vector<Var> outputs = trace(tape, types);
  return tape.take(outputs);
}

Program& Function::program(std::span<const Type> types) {
  for (Entry& entry : cache_) {
    if (std::ranges::equal(entry.types, types)) return entry.program;
  }
  Tape tape;
  const std::vector<Var> outputs = trace(tape, types);
  cache_.push_back({{types.begin(), types.end()}, compile(tape, outputs, options_)});
  if (profiler_) cache_.back().program.profile(profiler_, profiled_as_);
  return cache_.back().program;
}

Program& Function::program(std::span<const ConstView> arguments) {
  // The usual case, without building a list of types: one signature, the last one.
  const auto fits = [](const ConstView& view, const Type& type) { return view.type == type; };
  for (Entry& entry : cache_) {
    if (std::ranges::equal(arguments, entry.types, fits)) return entry.program;
  }
  std::vector<Type> types;
  for (const ConstView& argument : arguments) types.push_back(argument.type);
  return program(std::span<const Type>(types));
}

void Function::profile(Profiler* profiler, std::string name) {
  profiler_ = profiler;
  profiled_as_ = std::move(name);
  for (Entry& entry : cache_) entry.program.profile(profiler_, profiled_as_);
}

const std::vector<Tensor>& Function::run(std::span<const ConstView> arguments) {
  Program& chosen = program(arguments);
  chosen.run(arguments);
  return chosen.outputs();
}

}  // namespace tapestry
