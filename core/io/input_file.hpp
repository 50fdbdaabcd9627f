// A regular file, read at any position, by many threads at once if they like.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace tapestry {

/// Failures throw IoError "can't read PATH: REASON".
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// In bytes, when it was opened.
  std::uint64_t size() const { return size_; }
  /// Fills `out` with the bytes from `offset` on; a file that ends before that is an error.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
};

/// The whole content.
std::string read_file(const std::filesystem::path& path);

/// A damaged file's words as an error can repeat them: bytes other than ASCII's characters become '?'.
std::string printable(std::string words);

}  // namespace tapestry
