#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/data/synthetic_cifar10.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr std::int64_t kRecords = 230;

std::string batch_of(std::uint64_t seed, std::string_view name, std::int64_t records = kRecords) {
  const TemporaryFolder folder;
  write_synthetic_cifar10(folder.path(), seed, records);
  return file_content(folder.path() / name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(synthetic_cifar10)

BOOST_AUTO_TEST_CASE(it_loads_like_the_real_one_and_says_what_it_is) {
  const TemporaryFolder folder;
  write_synthetic_cifar10(folder / "new/folder", 3, kRecords);
  const Cifar10 data = detail::load_cifar10(folder / "new/folder", kRecords);
  BOOST_TEST(data.synthetic);
  BOOST_TEST(data.train.size() == 5 * kRecords);
  BOOST_TEST(data.test.size() == kRecords);
  BOOST_TEST(data.class_names.size() == 10u);
  BOOST_TEST(data.class_names[0] == "disc");
  BOOST_TEST(split_cifar10(data, {.training = 100, .validation = 10, .test = 10}).synthetic);
  BOOST_TEST(file_content(folder / "new/folder/SYNTHETIC.txt").starts_with("This is not CIFAR-10."));
}

BOOST_AUTO_TEST_CASE(every_file_has_as_many_of_each_class_in_no_order) {
  const TemporaryFolder folder;
  write_synthetic_cifar10(folder.path(), 3, kRecords);
  const Cifar10 data = detail::load_cifar10(folder.path(), kRecords);
  for (std::int64_t file = 0; file < 5; ++file) {
    std::array<int, 10> count{};
    const ImageSet part = data.train.slice(file * kRecords, kRecords);
    for (const std::int64_t label : part.labels()) ++count[std::size_t(label)];
    BOOST_TEST(std::ranges::all_of(count, [](int n) { return n == 23; }));
    BOOST_TEST(!std::ranges::is_sorted(part.labels()));
  }
}

BOOST_AUTO_TEST_CASE(the_seed_alone_decides) {
  const std::string one = batch_of(3, "data_batch_2.bin");
  BOOST_TEST((one == batch_of(3, "data_batch_2.bin")));
  BOOST_TEST((one != batch_of(4, "data_batch_2.bin")));
  BOOST_TEST((one != batch_of(3, "data_batch_3.bin")));
  const int threads = thread_count();
  set_thread_count(threads == 1 ? 3 : 1);
  BOOST_TEST((one == batch_of(3, "data_batch_2.bin")));
  set_thread_count(threads);
}

// Learnable: the mean, over many pictures, of how much neighbours along a row and along a column differ tells
// horizontal stripes from vertical ones. Not trivial: the mean pictures of the classes hardly differ.
BOOST_AUTO_TEST_CASE(classes_differ_in_form_and_not_in_colour) {
  const TemporaryFolder folder;
  write_synthetic_cifar10(folder.path(), 3, 1000);
  const ImageSet train = detail::load_cifar10(folder.path(), 1000).train;
  std::array<double, 10> along_row{}, along_column{}, brightness{};
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const auto image = train.image(i);
    const auto figure = std::size_t(train.label(i));
    for (std::size_t y = 0; y < 31; ++y) {
      for (std::size_t x = 0; x < 31; ++x) {
        const std::size_t k = (y * 32 + x) * 3;
        along_row[figure] += std::abs(image[k] - image[k + 3]);
        along_column[figure] += std::abs(image[k] - image[k + 96]);
        brightness[figure] += image[k];
      }
    }
  }
  BOOST_TEST(along_column[5] > 1.2 * along_row[5]);  // rows
  BOOST_TEST(along_row[6] > 1.2 * along_column[6]);  // columns
  const auto [darkest, brightest] = std::ranges::minmax(brightness);
  BOOST_TEST(brightest < 1.1 * darkest);
}

BOOST_AUTO_TEST_CASE(real_data_is_not_overwritten) {
  const TemporaryFolder folder;
  write_file(folder / "data_batch_5.bin", "precious");
  BOOST_TEST(thrown<IoError>([&] { write_synthetic_cifar10(folder.path(), 3, 1); }) ==
             "can't write the synthetic stand-in for CIFAR-10 to " + folder.path().string() +
                 ": the data_batch_5.bin that is there may be the real one");
  BOOST_TEST(file_content(folder / "data_batch_5.bin") == "precious");
  BOOST_TEST(!std::filesystem::exists(folder / "SYNTHETIC.txt"));
}

BOOST_AUTO_TEST_CASE(its_own_files_are_replaced) {
  const TemporaryFolder folder;
  write_synthetic_cifar10(folder.path(), 3, 5);
  write_synthetic_cifar10(folder.path(), 4, 6);
  BOOST_TEST((file_content(folder / "test_batch.bin") == batch_of(4, "test_batch.bin", 6)));
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_made) {
  const TemporaryFolder folder;
  write_file(folder / "file", "");
  BOOST_TEST(thrown<IoError>([&] { write_synthetic_cifar10(folder / "file" / "sub", 3, 1); }) ==
             "can't make the folder " + (folder / "file" / "sub").string() + ": Not a directory");
}

BOOST_AUTO_TEST_SUITE_END()
