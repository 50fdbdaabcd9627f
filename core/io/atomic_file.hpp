// Writes a file so that whoever opens it, even after a crash, finds the old or the new content and never
// half: a temporary in the same folder is written, synced and renamed, and then the folder is synced.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace tapestry {

/// A file being replaced. Nothing is seen at `path` before commit(); without one the destructor removes the
/// temporary. Failures throw IoError "can't write PATH: REASON". A symbolic link at `path` is replaced, not
/// followed. What is there and no file, a device or a pipe, is refused: it would be replaced, too.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view characters) { write(std::as_bytes(std::span(characters))); }

  /// Puts the new content in place. If the very last step fails, the sync of the folder, the new content is
  /// there but might not survive a power cut; that is an IoError too.
  void commit();

 private:
  [[noreturn]] void fail_with_errno();
  void open_temporary();
  void write_through(std::span<const std::byte> bytes);
  void close_file();
  void sync_folder();
  void discard() noexcept;

  std::filesystem::path path_;
  std::string temporary_;  // empty when there is none to remove
  std::string pending_;    // small writes, gathered
  int fd_ = -1;
};

/// The whole content at once.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view characters);

}  // namespace tapestry
