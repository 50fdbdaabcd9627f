#include <tapestry/core/error.hpp>
#include <tapestry/core/io/input_file.hpp>
#include <tapestry/models/data/tar_archive.hpp>

#include <utility>

#include <archive.h>
#include <archive_entry.h>

namespace tapestry {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 18;

}  // namespace

struct TarArchive::Handle {
  std::filesystem::path path;
  archive* reader = archive_read_new();
  std::string current;  // the file being read

  ~Handle() { archive_read_free(reader); }
};

TarArchive::TarArchive(std::filesystem::path path) : handle_(std::make_unique<Handle>()) {
  handle_->path = std::move(path);
  const InputFile readable(handle_->path);  // for its plain words about a missing file
  archive* reader = handle_->reader;
  require(reader != nullptr, "libarchive can't allocate a reader");
  // Not all filters that libarchive has: some start other programs.
  archive_read_support_filter_gzip(reader);
  archive_read_support_filter_bzip2(reader);
  archive_read_support_filter_xz(reader);
  archive_read_support_filter_zstd(reader);
  archive_read_support_format_tar(reader);
  if (archive_read_open_filename(reader, handle_->path.c_str(), kBlockBytes) != ARCHIVE_OK) fail_to_read();
}

TarArchive::~TarArchive() = default;

std::optional<TarArchive::Entry> TarArchive::next() {
  for (;;) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(handle_->reader, &entry);
    if (result == ARCHIVE_EOF) return std::nullopt;
    if (result == ARCHIVE_RETRY) continue;
    if (result < ARCHIVE_WARN) fail_to_read();
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    const char* name = archive_entry_pathname(entry);
    handle_->current = name != nullptr ? name : "";
    return Entry{handle_->current, std::uint64_t(archive_entry_size(entry))};
  }
}

void TarArchive::read(std::span<std::byte> out) {
  while (!out.empty()) {
    const la_ssize_t count = archive_read_data(handle_->reader, out.data(), out.size());
    if (count == ARCHIVE_RETRY) continue;
    if (count < 0) fail_to_read();
    if (count == 0)
      throw IoError(text("can't read ", handle_->path.string(), ": ", handle_->current, " ends early"));
    out = out.subspan(std::size_t(count));
  }
}

void TarArchive::fail_to_read() const {
  const char* reason = archive_error_string(handle_->reader);
  throw IoError(text("can't read ", handle_->path.string(),
                     " as a tar archive: ", reason != nullptr ? reason : "libarchive gives no reason",
                     handle_->current.empty() ? "" : " (in or after " + handle_->current + ")"));
}

}  // namespace tapestry
