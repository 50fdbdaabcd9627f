#include <tapestry/core/error.hpp>
#include <tapestry/core/io/atomic_file.hpp>
#include <tapestry/core/io/file_calls.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <boost/test/unit_test.hpp>
#include <sys/stat.h>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// While it lives, file calls are counted and fail from the k-th on: once, or all that follow.
class Saboteur {
 public:
  Saboteur(int k, bool once, int error) {
    state = {k, once, error, 0, detail::file_calls()};
    detail::file_calls() = {
        [](const char* path, int flags, mode_t mode) {
          return fails() ? -1 : state.real.open(path, flags, mode);
        },
        // A short write: half of what was asked for.
        [](int fd, const void* bytes, std::size_t count) {
          return fails() ? ssize_t{-1} : state.real.write(fd, bytes, (count + 1) / 2);
        },
        [](int fd) { return fails() ? -1 : state.real.fsync(fd); },
        // A close that fails has closed all the same.
        [](int fd) {
          return fails() ? (state.real.close(fd), errno = state.error, -1) : state.real.close(fd);
        },
        [](const char* from, const char* to) { return fails() ? -1 : state.real.rename(from, to); },
        [](const char* path) { return fails() ? -1 : state.real.unlink(path); },
    };
  }
  ~Saboteur() { detail::file_calls() = state.real; }

  int calls() const { return state.calls; }

 private:
  struct State {
    int k;
    bool once;
    int error, calls;
    detail::FileCalls real;
  };
  static inline State state;

  static bool fails() {
    ++state.calls;
    const bool failing = state.once ? state.calls == state.k : state.calls >= state.k;
    if (failing) errno = state.error;
    return failing;
  }
};

std::ptrdiff_t files_in(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

constexpr int kNever = 1 << 30;

}  // namespace

BOOST_AUTO_TEST_SUITE(atomic_file)

BOOST_AUTO_TEST_CASE(writes_and_replaces) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "one");
  BOOST_TEST(file_content(folder / "a.txt") == "one");
  write_file_atomically(folder / "a.txt", "");
  BOOST_TEST(file_content(folder / "a.txt") == "");
  const std::string big(3'000'001, 'x');
  write_file_atomically(folder / "a.txt", big);
  BOOST_TEST((file_content(folder / "a.txt") == big));
  BOOST_TEST(files_in(folder.path()) == 1);
}

BOOST_AUTO_TEST_CASE(many_writes_of_all_sizes_keep_their_order) {
  const TemporaryFolder folder;
  std::string expected;
  AtomicFile file(folder / "a");
  for (std::size_t size : {1u, 0u, 200'000u, 100'000u, 7u, 262'143u, 262'144u, 300'000u, 5u}) {
    const std::string part(size, char('a' + expected.size() % 26));
    file.write(part);
    expected += part;
  }
  file.commit();
  BOOST_TEST((file_content(folder / "a") == expected));
}

BOOST_AUTO_TEST_CASE(without_commit_nothing_changes) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
    BOOST_TEST(files_in(folder.path()) == 2);
  }
  BOOST_TEST(file_content(folder / "a") == "old");
  BOOST_TEST(files_in(folder.path()) == 1);
}

BOOST_AUTO_TEST_CASE(two_writers_do_not_mix) {
  const TemporaryFolder folder;
  AtomicFile first(folder / "a"), second(folder / "a");
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  BOOST_TEST(file_content(folder / "a") == "first");
  BOOST_CHECK_THROW(first.write("more"), Error);
  BOOST_CHECK_THROW(first.commit(), Error);
}

// For every k: let the k-th system call fail, alone or with all that follow, and look at what is left.
BOOST_AUTO_TEST_CASE(whichever_call_fails_the_file_is_old_or_new_and_whole) {
  const std::string old_content = "old content", new_content(700'000, 'n');
  int calls_of_success = 0;
  for (const bool once : {true, false}) {
    for (int k = 1;; ++k) {
      const TemporaryFolder folder;
      write_file(folder / "a", old_content);
      bool failed = false;
      int calls = 0;
      {
        const Saboteur saboteur(k, once, ENOSPC);
        try {
          AtomicFile file(folder / "a");
          file.write("");
          file.write(std::string_view(new_content).substr(0, 10));
          file.write(std::string_view(new_content).substr(10));
          file.commit();
        } catch (const IoError& e) {
          failed = true;
          BOOST_TEST(e.what() == "can't write " + (folder / "a").string() + ": No space left on device");
        }
        calls = saboteur.calls();
      }
      if (!failed) {
        calls_of_success = calls;
        BOOST_TEST(k == calls + 1);  // every call's failure was noticed
        BOOST_TEST((file_content(folder / "a") == new_content));
        break;
      }
      // The last three calls sync the folder: the new content is in place by then.
      const std::string content = file_content(folder / "a");
      BOOST_TEST((content == old_content || content == new_content));
      if (once) BOOST_TEST(files_in(folder.path()) == 1);
      if (calls_of_success != 0)
        BOOST_TEST((content == (k <= calls_of_success - 3 ? old_content : new_content)));
    }
  }
  BOOST_TEST(calls_of_success > 10);  // short writes included
}

BOOST_AUTO_TEST_CASE(interrupted_calls_are_repeated) {
  const TemporaryFolder folder;
  int total = 0;
  {
    const Saboteur saboteur(kNever, true, EINTR);
    write_file_atomically(folder / "a", "x");
    total = saboteur.calls();
  }
  for (int k = 1; k <= total; ++k) {
    const Saboteur saboteur(k, true, EINTR);
    try {
      write_file_atomically(folder / "a", std::to_string(k));
      BOOST_TEST(file_content(folder / "a") == std::to_string(k));
    } catch (const IoError&) {
      BOOST_TEST(k == total - 3);  // only rename, which is never interrupted
    }
  }
  BOOST_TEST(files_in(folder.path()) == 1);
}

BOOST_AUTO_TEST_CASE(a_device_or_a_pipe_stays_what_it_is) {
  const TemporaryFolder folder;
  const std::string pipe = (folder / "pipe").string();
  BOOST_REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  BOOST_TEST(thrown<IoError>([&] { write_file_atomically(pipe, "x"); }) ==
             "can't write " + pipe + ": it is a device or a pipe, not a file");
  BOOST_TEST(std::filesystem::is_fifo(pipe));
}

BOOST_AUTO_TEST_CASE(reasons_are_named) {
  const TemporaryFolder folder;
  const auto missing = folder / "none" / "a";
  BOOST_TEST(thrown<IoError>([&] { write_file_atomically(missing, "x"); }) ==
             "can't write " + missing.string() + ": No such file or directory");
  std::filesystem::create_directory(folder / "d");
  BOOST_TEST(thrown<IoError>([&] { write_file_atomically(folder / "d", "x"); }) ==
             "can't write " + (folder / "d").string() + ": Is a directory");
  BOOST_TEST(files_in(folder.path()) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
