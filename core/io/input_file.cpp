#include <tapestry/core/error.hpp>
#include <tapestry/core/io/input_file.hpp>

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tapestry {
namespace {

[[noreturn]] void fail_to_read(const std::filesystem::path& path, const std::string& reason) {
  throw IoError(text("can't read ", path.string(), ": ", reason));
}

}  // namespace

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  // Non-blocking, so that opening a pipe returns and can be refused.
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ == -1) fail_to_read(path_, std::generic_category().message(errno));
  struct stat status {};
  const int error = ::fstat(fd_, &status) == -1 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  if (error == 0 && S_ISREG(status.st_mode)) {
    size_ = std::uint64_t(status.st_size);
    return;
  }
  ::close(fd_);
  fail_to_read(path_, error ? std::generic_category().message(error) : "it is not a regular file");
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(fd_, out.data(), out.size(), off_t(offset));
    if (count == -1 && errno == EINTR) continue;
    if (count == -1) fail_to_read(path_, std::generic_category().message(errno));
    if (count == 0) fail_to_read(path_, text("it ends at byte ", offset, ", ", out.size(), " bytes early"));
    offset += std::uint64_t(count);
    out = out.subspan(std::size_t(count));
  }
}

std::string read_file(const std::filesystem::path& path) {
  const InputFile file(path);
  std::string content(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(content)));
  return content;
}

std::string printable(std::string words) {
  for (char& c : words) {
    if (c < ' ' || c > '~') c = '?';
  }
  return words;
}

}  // namespace tapestry
