#include <tapestry/tests/support/child.hpp>
#include <tapestry/tests/support/files.hpp>

#include <csignal>
#include <stdexcept>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tapestry::test {
namespace {

void redirect(int fd, const char* path) {
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, fd) < 0) _exit(126);
}

}  // namespace

Child::Child(const std::filesystem::path& program, const std::vector<std::string>& arguments,
             const ChildOptions& options) {
  const std::string out = options.output.empty() ? (folder_ / "out").string() : options.output.string();
  const std::string err = (folder_ / "err").string();
  std::vector<std::string> words{program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> raw;
  for (std::string& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("can't fork");
  if (pid_ > 0) return;
  // From here to execv only calls that are safe after a fork.
  redirect(STDOUT_FILENO, out.c_str());
  redirect(STDERR_FILENO, err.c_str());
  if (!options.folder.empty() && chdir(options.folder.c_str()) != 0) _exit(126);
  if (options.file_bytes > 0) {
    const rlimit limit{options.file_bytes, options.file_bytes};
    // Without the signal a write beyond the limit fails, as on a full disk.
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(126);
  }
  execv(raw[0], raw.data());
  _exit(127);
}

Child::~Child() {
  if (ended_) return;
  send(SIGKILL);
  waitpid(pid_, &status_, 0);
}

void Child::send(int signal) const {
  if (!ended_) kill(pid_, signal);
}

bool Child::running() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

ChildResult Child::wait() {
  if (!ended_) waitpid(pid_, &status_, 0);
  ended_ = true;
  ChildResult result;
  if (WIFEXITED(status_)) result.code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) result.signal = WTERMSIG(status_);
  result.out = file_content(folder_ / "out");
  result.err = file_content(folder_ / "err");
  return result;
}

}  // namespace tapestry::test
