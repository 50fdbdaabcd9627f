// The system calls that writing a file needs, held in a table so that a test can make the k-th call fail.
#pragma once

#include <cstddef>

#include <sys/types.h>

namespace tapestry::detail {

/// Each entry behaves as the system call of its name: -1 and errno on failure.
struct FileCalls {
  int (*open)(const char* path, int flags, mode_t mode);
  ssize_t (*write)(int fd, const void* bytes, std::size_t count);
  int (*fsync)(int fd);
  int (*close)(int fd);
  int (*rename)(const char* from, const char* to);
  int (*unlink)(const char* path);
};

/// The kernel's own; only tests assign to it.
FileCalls& file_calls();

}  // namespace tapestry::detail
