#include <tapestry/models/data/cifar10.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <cstdlib>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kRecords = 70;  // a whole block of the loader's and a part of one

/// What the fixture holds at a place, different in neighbouring files, records, channels and pixels.
int pixel(int file, std::int64_t record, int channel, int position) {
  return int((file * 41 + record * 7 + channel * 101 + position * 3) % 251);
}
int label(int file, std::int64_t record) { return int((file + record * 3) % 10); }

std::string batch(int file, std::int64_t records = kRecords) {
  std::string bytes;
  for (std::int64_t record = 0; record < records; ++record) {
    bytes += char(label(file, record));
    for (int channel = 0; channel < 3; ++channel) {
      for (int position = 0; position < 1024; ++position)
        bytes += char(pixel(file, record, channel, position));
    }
  }
  return bytes;
}

/// A folder with the six files.
fs::path write_batches(const fs::path& folder) {
  fs::create_directories(folder);
  for (int file = 0; file < 6; ++file) write_file(folder / kCifar10Files[std::size_t(file)], batch(file));
  return folder;
}

void pack(const fs::path& archive, const fs::path& parent, const std::string& what,
          const std::string& how = "czf") {
  const std::string command = "tar " + how + " " + archive.string() + " -C " + parent.string() + " " + what;
  BOOST_REQUIRE(std::system(command.c_str()) == 0);
}

void check_content(const Cifar10& data) {
  BOOST_REQUIRE(data.train.size() == 5 * kRecords);
  BOOST_REQUIRE(data.test.size() == kRecords);
  BOOST_TEST((data.train.image_shape() == Shape{32, 32, 3}));
  int wrong = 0;
  for (int file = 0; file < 6; ++file) {
    const ImageSet& set = file < 5 ? data.train : data.test;
    for (std::int64_t record = 0; record < kRecords; ++record) {
      const std::int64_t row = record + (file < 5 ? file * kRecords : 0);
      wrong += set.label(row) != label(file, record);
      for (int channel = 0; channel < 3; ++channel) {
        for (int position = 0; position < 1024; ++position) {
          wrong +=
              set.image(row)[std::size_t(position * 3 + channel)] != pixel(file, record, channel, position);
        }
      }
    }
  }
  BOOST_TEST(wrong == 0);
}

std::string failure_of(const fs::path& path, std::int64_t records = kRecords) {
  return thrown<IoError>([&] { detail::load_cifar10(path, records); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cifar10)

BOOST_AUTO_TEST_CASE(folder_and_archive_hold_the_same) {
  const TemporaryFolder folder;
  const fs::path batches = write_batches(folder / "cifar-10-batches-bin");
  pack(folder / "cifar-10-binary.tar.gz", folder.path(), "cifar-10-batches-bin");
  pack(folder / "plain.tar", folder.path(), "cifar-10-batches-bin", "cf");
  for (const fs::path& path :
       {batches, folder.path(), folder / "cifar-10-binary.tar.gz", folder / "plain.tar"}) {
    const Cifar10 data = detail::load_cifar10(path, kRecords);
    check_content(data);
    BOOST_TEST(data.class_names.size() == 10u);
    BOOST_TEST(data.class_names[9] == "truck");
    BOOST_TEST(!data.synthetic);
  }
  BOOST_TEST(detail::load_cifar10(folder.path(), kRecords).source == batches);
  fs::remove_all(batches);  // a folder with the archive alone
  check_content(detail::load_cifar10(folder.path(), kRecords));
}

BOOST_AUTO_TEST_CASE(names_and_the_marker_are_read) {
  const TemporaryFolder folder;
  const fs::path batches = write_batches(folder / "b");
  write_file(batches / "batches.meta.txt", "a\nb\r\nc\nd\ne\nf\ng\nh\ni\nj k\n\n");
  write_file(batches / "SYNTHETIC.txt", "drawn");
  pack(folder / "a.tgz", folder.path(), "b");
  for (const fs::path& path : {batches, folder / "a.tgz"}) {
    const Cifar10 data = detail::load_cifar10(path, kRecords);
    BOOST_TEST(data.class_names[1] == "b");
    BOOST_TEST(data.class_names[9] == "j k");
    BOOST_TEST(data.synthetic);
  }
  write_file(batches / "batches.meta.txt", "a\nb\n");
  BOOST_TEST(failure_of(batches) ==
             (batches / "batches.meta.txt").string() + ": 2 class names, but CIFAR-10 has 10");
}

BOOST_AUTO_TEST_CASE(wrong_sizes_are_named) {
  const TemporaryFolder folder;
  const fs::path batches = write_batches(folder / "b");
  const std::string whole = batch(2);
  for (const std::string& content : {whole.substr(1), whole + "x", std::string()}) {
    write_file(batches / "data_batch_3.bin", content);
    const std::string reason = "data_batch_3.bin: " + std::to_string(content.size()) +
                               " bytes, but a CIFAR-10 batch has " + std::to_string(whole.size());
    BOOST_TEST(failure_of(batches) == batches.string() + "/" + reason);
    pack(folder / "a.tgz", folder.path(), "b");
    BOOST_TEST(failure_of(folder / "a.tgz") == (folder / "a.tgz").string() + ": b/" + reason);
  }
  // With the real length of the files the fixture is of course too short.
  write_file(batches / "data_batch_3.bin", whole);
  BOOST_TEST(thrown<IoError>([&] { load_cifar10(batches); }) ==
             batches.string() + "/data_batch_1.bin: 215110 bytes, but a CIFAR-10 batch has 30730000");
}

BOOST_AUTO_TEST_CASE(wrong_labels_are_named) {
  const TemporaryFolder folder;
  const fs::path batches = write_batches(folder / "b");
  std::string content = batch(3);
  content[3073 * 69] = char(10);
  write_file(batches / "data_batch_4.bin", content);
  const std::string reason =
      "data_batch_4.bin: record 69 (byte 212037) has the label 10, but CIFAR-10's labels are 0 to 9";
  BOOST_TEST(failure_of(batches) == batches.string() + "/" + reason);
  pack(folder / "a.tgz", folder.path(), "b");
  BOOST_TEST(failure_of(folder / "a.tgz") == (folder / "a.tgz").string() + ": b/" + reason);
  // The first in the order of the files is the one reported, whichever thread finds which.
  std::string test = batch(5);
  test[0] = char(255);
  write_file(batches / "test_batch.bin", test);
  BOOST_TEST(failure_of(batches) == batches.string() + "/" + reason);
  write_file(batches / "data_batch_4.bin", batch(3));
  BOOST_TEST(failure_of(batches) ==
             batches.string() +
                 "/test_batch.bin: record 0 (byte 0) has the label 255, but CIFAR-10's labels are 0 to 9");
}

BOOST_AUTO_TEST_CASE(missing_files_are_named) {
  const TemporaryFolder folder;
  const fs::path batches = write_batches(folder / "b");
  fs::remove(batches / "data_batch_2.bin");
  BOOST_TEST(failure_of(batches) == "CIFAR-10 in " + batches.string() + " lacks data_batch_2.bin");
  pack(folder / "a.tgz", folder.path(), "b");
  BOOST_TEST(failure_of(folder / "a.tgz") ==
             "CIFAR-10 in " + (folder / "a.tgz").string() + " lacks data_batch_2.bin");
  BOOST_TEST(failure_of(folder / "none") ==
             "can't read " + (folder / "none").string() + ": No such file or directory");
  fs::create_directory(folder / "empty");
  BOOST_TEST(failure_of(folder / "empty") ==
             "there is no CIFAR-10 in " + (folder / "empty").string() +
                 ": it holds neither data_batch_1.bin and so on, nor cifar-10-batches-bin/, nor "
                 "cifar-10-binary.tar.gz");
}

BOOST_AUTO_TEST_CASE(the_version_for_python_is_recognised) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "cifar-10-batches-py");
  write_file(folder / "cifar-10-batches-py/data_batch_1", "pickled");
  BOOST_TEST(failure_of(folder.path()).ends_with("; it holds the version for Python, which isn't read"));
  pack(folder / "a.tgz", folder.path(), "cifar-10-batches-py");
  BOOST_TEST(failure_of(folder / "a.tgz").ends_with("needed is the binary one, cifar-10-binary.tar.gz"));
}

BOOST_AUTO_TEST_CASE(archives_that_are_cut_short_or_none) {
  const TemporaryFolder folder;
  write_batches(folder / "b");
  pack(folder / "a.tgz", folder.path(), "b");
  const std::string whole = file_content(folder / "a.tgz");
  for (const std::size_t size : {whole.size() / 2, whole.size() / 9, std::size_t{300}, std::size_t{12}}) {
    write_file(folder / "cut.tgz", whole.substr(0, size));
    const std::string message = failure_of(folder / "cut.tgz");
    BOOST_TEST(message.starts_with("can't read " + (folder / "cut.tgz").string() + " as a tar archive: "),
               message);
  }
  pack(folder / "a.tar", folder.path(), "b", "cf");
  write_file(folder / "cut.tar", file_content(folder / "a.tar").substr(0, 300'000));
  const std::string message = failure_of(folder / "cut.tar");
  BOOST_TEST(message.starts_with("can't read " + (folder / "cut.tar").string() + " as a tar archive: "),
             message);
  BOOST_TEST(message.find("(in or after b/") != std::string::npos, message);
  for (const std::string content :
       {"", "This is not an archive, but a note.\n", "\x1f\x8b\x08 nor is this"}) {
    write_file(folder / "note", content);
    BOOST_CHECK_THROW(detail::load_cifar10(folder / "note", kRecords), IoError);
  }
}

BOOST_AUTO_TEST_CASE(an_archive_with_a_file_twice) {
  const TemporaryFolder folder;
  write_batches(folder / "b");
  write_batches(folder / "c");
  pack(folder / "a.tgz", folder.path(), "b c");
  BOOST_TEST(failure_of(folder / "a.tgz").ends_with(": the archive's second file of that name"));
}

BOOST_AUTO_TEST_CASE(the_split_and_its_mean) {
  const TemporaryFolder folder;
  const Cifar10 data = detail::load_cifar10(write_batches(folder / "b"), kRecords);
  const Cifar10Split split = split_cifar10(data, {.training = 300, .validation = 50, .test = 20});
  BOOST_TEST(split.training.size() == 300);
  BOOST_TEST(split.validation.size() == 50);
  BOOST_TEST(split.test.size() == 20);
  BOOST_TEST(split.test_all.size() == kRecords);
  BOOST_TEST(split.training.image(0).data() == data.train.image(0).data());  // nothing was copied
  BOOST_TEST(split.validation.image(0).data() == data.train.image(300).data());
  BOOST_TEST(split.validation.label(49) == label(4, 69));
  BOOST_TEST((split.mean.type() == Type{DType::f32, {32, 32, 3}}));
  for (const int k : {0, 1, 2, 3071, 1234}) {
    double sum = 0;
    for (std::int64_t i = 0; i < 300; ++i) sum += split.training.image(i)[std::size_t(k)];
    BOOST_TEST(split.mean.at(k) == double(float(sum / 300)));
  }
  BOOST_CHECK_THROW(split_cifar10(data), Error);  // the fixture has no 49,000 images
}

BOOST_AUTO_TEST_CASE(the_mean_of_the_brightest_images_does_not_overflow) {
  const ImageSet white(Tensor::full<std::uint8_t>({1000, 2, 1, 3}, 255), Tensor(DType::i64, {1000}));
  const Tensor mean = mean_image(white);
  BOOST_TEST((mean.shape() == Shape{2, 1, 3}));
  for (int k = 0; k < 6; ++k) BOOST_TEST(mean.at(k) == 255);
  BOOST_CHECK_THROW(mean_image(white.slice(3, 0)), Error);
}

BOOST_AUTO_TEST_CASE(image_sets_check_their_parts) {
  BOOST_CHECK_THROW(ImageSet(Tensor(DType::f32, {2, 1, 1, 3}), Tensor(DType::i64, {2})), Error);
  BOOST_CHECK_THROW(ImageSet(Tensor(DType::u8, {2, 3}), Tensor(DType::i64, {2})), Error);
  BOOST_CHECK_THROW(ImageSet(Tensor(DType::u8, {2, 1, 1, 3}), Tensor(DType::i64, {3})), Error);
  BOOST_CHECK_THROW(ImageSet(Tensor(DType::u8, {2, 1, 1, 3}), Tensor(DType::i32, {2})), Error);
  const ImageSet set(Tensor(DType::u8, {4, 1, 1, 1}), Tensor::from<std::int64_t>({5, 6, 7, 8}, {4}));
  BOOST_TEST(set.slice(1, 3).slice(1, 2).label(1) == 8);
  BOOST_TEST(set.slice(4, 0).size() == 0);
  BOOST_TEST(thrown([&] { set.slice(2, 3); }) == "images 2 to 5 were asked for, but the set has 4");
  BOOST_CHECK_THROW(set.slice(-1, 2), Error);
  BOOST_CHECK_THROW(set.slice(0, -1), Error);
  BOOST_TEST(ImageSet().size() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
