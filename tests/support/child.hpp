// Another program, run as people run it: its exit code and what it printed.
#pragma once

#include <tapestry/tests/support/temporary_folder.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace tapestry::test {

struct ChildOptions {
  /// Files can't grow beyond this, as on a full disk; 0 for no limit.
  std::uint64_t file_bytes = 0;
  /// Where standard output goes instead of into the result.
  std::filesystem::path output{};
  /// The folder it runs in.
  std::filesystem::path folder{};
};

struct ChildResult {
  int code = -1;   // the exit code, or -1 if a signal ended it
  int signal = 0;  // that signal
  std::string out, err;
};

/// A child process. One that wasn't waited for is killed.
class Child {
 public:
  Child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
        const ChildOptions& options = {});
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(int signal) const;
  bool running();
  ChildResult wait();

 private:
  TemporaryFolder folder_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

inline ChildResult run_child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                             const ChildOptions& options = {}) {
  return Child(program, arguments, options).wait();
}

}  // namespace tapestry::test
