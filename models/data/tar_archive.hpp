// A tar archive, compressed (gzip, bzip2, xz, zstd) or not, read front to back without temporary files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace tapestry {

/// What can't be read, is cut short or is no archive throws an IoError that names it.
class TarArchive {
 public:
  explicit TarArchive(std::filesystem::path path);
  ~TarArchive();
  TarArchive(const TarArchive&) = delete;
  TarArchive& operator=(const TarArchive&) = delete;

  struct Entry {
    std::string name;
    std::uint64_t bytes = 0;
  };
  /// Moves to the next regular file; nothing after the last.
  std::optional<Entry> next();
  /// The next bytes of the current file, exactly as many as fit `out`.
  void read(std::span<std::byte> out);

 private:
  [[noreturn]] void fail_to_read() const;

  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace tapestry
