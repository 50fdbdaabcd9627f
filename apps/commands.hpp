// The subcommands. Each takes the words after its name and returns the process's exit code: 0 done, 1 failed,
// 2 a mistake in the call, 130 interrupted.
#pragma once

#include <span>
#include <string>

namespace tapestry::app {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kInterrupted = 130;

int train(std::span<const std::string> arguments);
int compare(std::span<const std::string> arguments);
int evaluate(std::span<const std::string> arguments);
int predict(std::span<const std::string> arguments);
int gradcheck(std::span<const std::string> arguments);
int describe(std::span<const std::string> arguments);

/// Dispatches to a subcommand and turns exceptions into one sentence on stderr and an exit code.
int run(std::span<const std::string> arguments);

}  // namespace tapestry::app
