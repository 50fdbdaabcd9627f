#include <tapestry/core/error.hpp>
#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/core/io/file_calls.hpp>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace tapestry {
namespace detail {

FileCalls& file_calls() {
  static FileCalls calls{
      [](const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); },
      ::write,
      ::fsync,
      ::close,
      ::rename,
      ::unlink,
  };
  return calls;
}

}  // namespace detail

namespace {

constexpr std::size_t kGatherBytes = std::size_t{1} << 18;

/// Repeats a call that a signal interrupted.
template <class Call>
auto retry(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code unknown;  // then opening says what is wrong
  const auto there = std::filesystem::symlink_status(path_, unknown).type();
  using Type = std::filesystem::file_type;
  if (there == Type::character || there == Type::block || there == Type::fifo || there == Type::socket) {
    throw IoError(text("can't write ", path_.string(), ": it is a device or a pipe, not a file"));
  }
  open_temporary();
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::open_temporary() {
  // The process id and a count keep writers apart; O_EXCL catches what a killed process with our id left.
  static std::atomic<unsigned> count{0};
  do {
    const std::string name = text('.', path_.filename().string(), '.', ::getpid(), '-', count++, ".tmp");
    temporary_ = (path_.parent_path() / name).string();
    fd_ = retry([&] {
      return detail::file_calls().open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    });
  } while (fd_ == -1 && errno == EEXIST);
  if (fd_ == -1) {
    temporary_.clear();
    fail_with_errno();
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  require(fd_ != -1, "can't write ", path_.string(), ": it is closed");
  if (pending_.size() + bytes.size() > kGatherBytes) {
    write_through(std::as_bytes(std::span(pending_)));
    pending_.clear();
  }
  if (bytes.size() >= kGatherBytes) return write_through(bytes);
  pending_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void AtomicFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        retry([&] { return detail::file_calls().write(fd_, bytes.data(), bytes.size()); });
    if (written == -1) fail_with_errno();
    bytes = bytes.subspan(std::size_t(written));
  }
}

void AtomicFile::commit() {
  require(fd_ != -1, "can't write ", path_.string(), ": it is closed");
  write_through(std::as_bytes(std::span(pending_)));
  pending_.clear();
  if (retry([&] { return detail::file_calls().fsync(fd_); }) == -1) fail_with_errno();
  close_file();
  if (detail::file_calls().rename(temporary_.c_str(), path_.c_str()) == -1) fail_with_errno();
  temporary_.clear();
  sync_folder();
}

void AtomicFile::close_file() {
  // Not repeated when interrupted: Linux has closed the descriptor by then.
  if (detail::file_calls().close(std::exchange(fd_, -1)) == -1 && errno != EINTR) fail_with_errno();
}

void AtomicFile::sync_folder() {
  const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  fd_ =
      retry([&] { return detail::file_calls().open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
  // Some network file systems can't open or sync a folder; they give no stronger promise to ask for.
  if (fd_ == -1 && (errno == EACCES || errno == EINVAL)) return;
  if (fd_ == -1) fail_with_errno();
  if (retry([&] { return detail::file_calls().fsync(fd_); }) == -1 && errno != EINVAL) fail_with_errno();
  close_file();
}

void AtomicFile::fail_with_errno() {
  const std::string reason = std::generic_category().message(errno);
  discard();
  throw IoError(text("can't write ", path_.string(), ": ", reason));
}

void AtomicFile::discard() noexcept {
  if (fd_ != -1) detail::file_calls().close(std::exchange(fd_, -1));
  if (!temporary_.empty()) detail::file_calls().unlink(temporary_.c_str());
  temporary_.clear();
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view characters) {
  write_file_atomically(path, std::as_bytes(std::span(characters)));
}

}  // namespace tapestry
