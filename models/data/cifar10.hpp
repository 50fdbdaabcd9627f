// CIFAR-10 in its binary layout (A. Krizhevsky, "Learning multiple layers of features from tiny images",
// 2009; www.cs.toronto.edu/~kriz/cifar.html): five files of 10,000 training images and one of 10,000 test
// images. A record is a label byte and 3,072 pixel bytes: the red plane, the green, the blue, each row by
// row.
#pragma once

#include <tapestry/models/data/dataset.hpp>

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry {

inline constexpr std::int64_t kCifar10Classes = 10;
inline constexpr std::int64_t kCifar10Side = 32;
inline constexpr std::int64_t kCifar10ImageBytes = kCifar10Side * kCifar10Side * 3;
inline constexpr std::int64_t kCifar10RecordBytes = 1 + kCifar10ImageBytes;
inline constexpr std::int64_t kCifar10RecordsPerFile = 10'000;
/// The files, the test images last.
inline constexpr std::array<std::string_view, 6> kCifar10Files = {"data_batch_1.bin", "data_batch_2.bin",
                                                                  "data_batch_3.bin", "data_batch_4.bin",
                                                                  "data_batch_5.bin", "test_batch.bin"};
inline constexpr std::string_view kCifar10NamesFile = "batches.meta.txt";
/// Mean and deviation of the training images' channels, scaled to [0, 1], as they are usually given.
inline constexpr std::array<double, 3> kCifar10ChannelMeans = {0.4914, 0.4822, 0.4465};
inline constexpr std::array<double, 3> kCifar10ChannelDeviations = {0.2470, 0.2435, 0.2616};
/// A file of this name beside the others says that they are write_synthetic_cifar10's.
inline constexpr std::string_view kSyntheticMarker = "SYNTHETIC.txt";

struct Cifar10 {
  ImageSet train;  // 50,000 of u8 [32, 32, 3], in the files' order
  ImageSet test;   // 10,000
  std::vector<std::string> class_names;
  bool synthetic = false;        // a stand-in with drawn pictures
  std::filesystem::path source;  // the folder or archive that was read
};

/// `path` is the folder with the .bin files; or a folder that holds cifar-10-batches-bin/ or
/// cifar-10-binary.tar.gz; or the archive itself, which is read as it is unpacked. Throws an IoError that
/// names file, record and byte if anything is missing, of a wrong size, or has a label above 9.
Cifar10 load_cifar10(const std::filesystem::path& path);

/// How many images the parts of the notebook's split have.
struct SplitSizes {
  std::int64_t training = 49'000;
  std::int64_t validation = 1'000;
  std::int64_t test = 1'000;
};

/// The split of CS231n's get_CIFAR10_data. The parts share the elements of the whole.
struct Cifar10Split {
  ImageSet training;    // the first 49,000 of the 50,000
  ImageSet validation;  // the next 1,000
  ImageSet test;        // the first 1,000 of the 10,000
  ImageSet test_all;    // all 10,000
  Tensor mean;  // of `training`, f32 [32, 32, 3], to be subtracted from every image; pixels stay in 0 to 255
  std::vector<std::string> class_names;
  bool synthetic = false;
};
Cifar10Split split_cifar10(const Cifar10& data, const SplitSizes& sizes = {});

namespace detail {
/// The same with files of another length, so that tests are quick.
Cifar10 load_cifar10(const std::filesystem::path& path, std::int64_t records_per_file);
}  // namespace detail

}  // namespace tapestry
