#include <tapestry/core/io/input_file.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/models/data/tar_archive.hpp>

#include <algorithm>
#include <bitset>
#include <sstream>

namespace tapestry {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kFiles = std::int64_t(kCifar10Files.size());
constexpr std::int64_t kBlockRecords = 32;  // 98 kB: read, then rearranged while in L2
using Block = std::array<std::byte, std::size_t(kBlockRecords* kCifar10RecordBytes)>;

constexpr std::array<std::string_view, 10> kClassNames = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                          "dog",      "frog",       "horse", "ship", "truck"};

template <class... Parts>
[[noreturn]] void bad(const Parts&... parts) {
  throw IoError(text(parts...));
}

/// Planes to pixels.
void interleave(const std::byte* planes, std::uint8_t* pixels) {
  constexpr std::size_t kPlane = std::size_t(kCifar10Side * kCifar10Side);
  const auto* red = reinterpret_cast<const std::uint8_t*>(planes);
  for (std::size_t i = 0; i < kPlane; ++i) {
    pixels[3 * i] = red[i];
    pixels[3 * i + 1] = red[kPlane + i];
    pixels[3 * i + 2] = red[2 * kPlane + i];
  }
}

/// The tensors that the six files fill, and where each file's records go.
class Destination {
 public:
  explicit Destination(std::int64_t records) : records_(records), train_(5 * records), test_(records) {}

  std::int64_t records() const { return records_; }

  /// Writes the whole records in `bytes`, which begin with the file's `first` one.
  void put(std::int64_t file, std::int64_t first, std::span<const std::byte> bytes) {
    Part& part = file < 5 ? train_ : test_;
    std::int64_t row = (file < 5 ? file * records_ : 0) + first;
    for (; !bytes.empty(); bytes = bytes.subspan(kCifar10RecordBytes), ++row) {
      part.label[row] = std::to_integer<std::int64_t>(bytes[0]);
      interleave(bytes.data() + 1, part.pixels + row * kCifar10ImageBytes);
    }
  }

  void check_labels(std::int64_t file, const std::string& name) const {
    const std::int64_t* labels = file < 5 ? train_.label + file * records_ : test_.label;
    const auto* wrong = std::find_if(labels, labels + records_, [](auto v) { return v >= kCifar10Classes; });
    if (wrong == labels + records_) return;
    const std::int64_t record = wrong - labels;
    bad(name, ": record ", record, " (byte ", record * kCifar10RecordBytes, ") has the label ", *wrong,
        ", but CIFAR-10's labels are 0 to 9");
  }

  Cifar10 take() && {
    Cifar10 data;
    data.train = ImageSet(std::move(train_.images), std::move(train_.labels));
    data.test = ImageSet(std::move(test_.images), std::move(test_.labels));
    return data;
  }

 private:
  struct Part {
    explicit Part(std::int64_t count)
        : images(DType::u8, {count, kCifar10Side, kCifar10Side, 3}), labels(DType::i64, {count}) {}
    Tensor images, labels;
    std::uint8_t* pixels = images.mutable_values<std::uint8_t>().data();
    std::int64_t* label = labels.mutable_values<std::int64_t>().data();
  };
  std::int64_t records_;
  Part train_, test_;
};

void check_size(const std::string& name, std::uint64_t bytes, std::int64_t records) {
  const auto expected = std::uint64_t(records * kCifar10RecordBytes);
  if (bytes != expected) bad(name, ": ", bytes, " bytes, but a CIFAR-10 batch has ", expected);
}

std::vector<std::string> class_names_from(const std::string& name, const std::string& content) {
  std::vector<std::string> names;
  std::istringstream lines(content);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (std::int64_t(names.size()) != kCifar10Classes) {
    bad(name, ": ", names.size(), " class names, but CIFAR-10 has ", kCifar10Classes);
  }
  return names;
}

std::vector<std::string> standard_class_names() { return {kClassNames.begin(), kClassNames.end()}; }

Cifar10 load_folder(const fs::path& folder, std::int64_t records) {
  std::vector<std::unique_ptr<InputFile>> files;
  for (const std::string_view name : kCifar10Files) {
    if (!fs::exists(folder / name)) bad("CIFAR-10 in ", folder.string(), " lacks ", name);
    files.push_back(std::make_unique<InputFile>(folder / name));
    check_size(files.back()->path().string(), files.back()->size(), records);
  }
  Destination destination(records);
  const Chunks chunks(records, 500);
  parallel_for(kFiles * chunks.count(), [&](std::int64_t i) {
    const std::int64_t file = i / chunks.count(), chunk = i % chunks.count();
    Block block;
    for (std::int64_t first = chunks.begin(chunk); first < chunks.end(chunk); first += kBlockRecords) {
      const std::int64_t count = std::min(kBlockRecords, chunks.end(chunk) - first);
      const auto bytes = std::span(block).first(std::size_t(count * kCifar10RecordBytes));
      files[std::size_t(file)]->read(std::uint64_t(first * kCifar10RecordBytes), bytes);
      destination.put(file, first, bytes);
    }
  });
  for (std::int64_t file = 0; file < kFiles; ++file) {
    destination.check_labels(file, files[std::size_t(file)]->path().string());
  }
  Cifar10 data = std::move(destination).take();
  const fs::path names = folder / kCifar10NamesFile;
  data.class_names =
      fs::exists(names) ? class_names_from(names.string(), read_file(names)) : standard_class_names();
  data.synthetic = fs::exists(folder / kSyntheticMarker);
  data.source = folder;
  return data;
}

void read_batch(TarArchive& archive, std::int64_t file, Destination& destination) {
  Block block;
  for (std::int64_t first = 0; first < destination.records(); first += kBlockRecords) {
    const std::int64_t count = std::min(kBlockRecords, destination.records() - first);
    const auto bytes = std::span(block).first(std::size_t(count * kCifar10RecordBytes));
    archive.read(bytes);
    destination.put(file, first, bytes);
  }
}

std::string read_text(TarArchive& archive, const std::string& name, std::uint64_t bytes) {
  if (bytes > 10'000) bad(name, ": ", bytes, " bytes, too many for a list of class names");
  std::string content(bytes, '\0');
  archive.read(std::as_writable_bytes(std::span(content)));
  return content;
}

Cifar10 load_archive(const fs::path& path, std::int64_t records) {
  TarArchive archive(path);
  Destination destination(records);
  std::bitset<kFiles> found;
  bool synthetic = false, python = false;
  std::vector<std::string> class_names = standard_class_names();
  while (const auto entry = archive.next()) {
    const std::string name = path.string() + ": " + entry->name;
    const std::string base = fs::path(entry->name).filename().string();
    const auto batch = std::ranges::find(kCifar10Files, base);
    if (batch != kCifar10Files.end()) {
      const std::int64_t file = batch - kCifar10Files.begin();
      if (found[std::size_t(file)]) bad(name, ": the archive's second file of that name");
      found.set(std::size_t(file));
      check_size(name, entry->bytes, records);
      read_batch(archive, file, destination);
      destination.check_labels(file, name);
    } else if (base == kCifar10NamesFile) {
      class_names = class_names_from(name, read_text(archive, name, entry->bytes));
    }
    synthetic |= base == kSyntheticMarker;
    python |= base == "data_batch_1";
  }
  for (std::int64_t file = 0; file < kFiles; ++file) {
    if (found[std::size_t(file)]) continue;
    bad("CIFAR-10 in ", path.string(), " lacks ", kCifar10Files[std::size_t(file)],
        python ? "; this is the version for Python, needed is the binary one, cifar-10-binary.tar.gz" : "");
  }
  Cifar10 data = std::move(destination).take();
  data.class_names = std::move(class_names);
  data.synthetic = synthetic;
  data.source = path;
  return data;
}

}  // namespace

Cifar10 load_cifar10(const fs::path& path) { return detail::load_cifar10(path, kCifar10RecordsPerFile); }

Cifar10 detail::load_cifar10(const fs::path& path, std::int64_t records_per_file) {
  if (!fs::is_directory(path)) return load_archive(path, records_per_file);
  for (const fs::path& folder : {path, path / "cifar-10-batches-bin"}) {
    const auto holds = [&](std::string_view name) { return fs::exists(folder / name); };
    if (std::ranges::any_of(kCifar10Files, holds)) return load_folder(folder, records_per_file);
  }
  const fs::path archive = path / "cifar-10-binary.tar.gz";
  if (fs::exists(archive)) return load_archive(archive, records_per_file);
  const bool python = fs::exists(path / "data_batch_1") || fs::exists(path / "cifar-10-batches-py");
  bad("there is no CIFAR-10 in ", path.string(),
      ": it holds neither data_batch_1.bin and so on, nor "
      "cifar-10-batches-bin/, nor cifar-10-binary.tar.gz",
      python ? "; it holds the version for Python, which isn't read" : "");
}

Cifar10Split split_cifar10(const Cifar10& data, const SplitSizes& sizes) {
  Cifar10Split split;
  split.training = data.train.slice(0, sizes.training);
  split.validation = data.train.slice(sizes.training, sizes.validation);
  split.test = data.test.slice(0, sizes.test);
  split.test_all = data.test;
  split.mean = mean_image(split.training);
  split.class_names = data.class_names;
  split.synthetic = data.synthetic;
  return split;
}

}  // namespace tapestry
