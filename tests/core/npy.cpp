#include <tapestry/core/io/input_file.hpp>
#include <tapestry/core/io/npy.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <limits>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;
using namespace std::string_literals;

namespace {

std::string npy_file(const std::string& header, const std::string& data, char version = 1) {
  std::string bytes = "\x93NUMPY"s + version + '\0';
  const std::uint64_t length = header.size();
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) bytes += char(length >> (8 * i));
  return bytes + header + data;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(npy)

BOOST_AUTO_TEST_CASE(a_round_trip_keeps_the_bits) {
  const TemporaryFolder folder;
  const Tensor tensors[] = {
      Tensor::from({0.1f, -0.0f, std::numeric_limits<float>::quiet_NaN(), 1e-45f, 3e38f, 1.0f}, {2, 3}),
      Tensor::from({0.1, 5e-324}, {2}),
      Tensor::from<std::int32_t>({-1, 7}, {2, 1, 1}),
      Tensor::from<std::int64_t>({1LL << 60}, {1}),
      Tensor::from<std::uint8_t>({0, 255}, {2}),
      Tensor::from({true, false}, {2}),
      Tensor::scalar(2.5),
      Tensor(DType::f32, {0, 3}),
      Tensor(DType::u8, {1, 1, 1, 1, 1, 1, 1, 2}),
  };
  for (const Tensor& tensor : tensors) {
    save_npy(folder / "a.npy", tensor);
    BOOST_TEST(identical(load_npy(folder / "a.npy"), tensor));
    const std::string bytes = file_content(folder / "a.npy");
    BOOST_TEST((bytes.size() - tensor.bytes()) % 64 == 0);
  }
}

BOOST_AUTO_TEST_CASE(headers_as_numpy_writes_them) {
  const TemporaryFolder folder;
  const std::string one = "\0\0\x80\x3f"s;
  const auto load = [&](const std::string& bytes) {
    write_file(folder / "a.npy", bytes);
    return to_string(load_npy(folder / "a.npy"));
  };
  BOOST_TEST(load(npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }   \n", one)) ==
             "f32 [1] {1}");
  BOOST_TEST(load(npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", one)) ==
             "f32 [] {1}");
  BOOST_TEST(load(npy_file("{'shape': (1, 1), 'descr': \"<f4\", 'fortran_order': False}", one, 2)) ==
             "f32 [1, 1] {1}");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_loaded_is_described) {
  const TemporaryFolder folder;
  const auto load = [&](const std::string& bytes) {
    write_file(folder / "a.npy", bytes);
    const std::string message = thrown<IoError>([&] { load_npy(folder / "a.npy"); });
    const std::string prefix = "can't load " + (folder / "a.npy").string() + ": ";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  };
  const auto header = [](const std::string& descr, const std::string& order, const std::string& shape) {
    return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
  };
  const std::string eight(8, '\0');
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(2,)"), eight)) ==
             "(nothing was thrown)");  // this one is fine
  BOOST_TEST(load("") == "not an npy file: it doesn't begin with \\x93NUMPY and a version");
  BOOST_TEST(load("PK\3\4 an npz is a zip") ==
             "not an npy file: it doesn't begin with \\x93NUMPY and a version");
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(2,)"), eight, 3)) ==
             "npy version 3 at byte 6; only 1 and 2 are known");
  BOOST_TEST(load(npy_file(header("'<f4'", "True", "(1, 2)"), eight)) ==
             "it is in Fortran (column-major) order; save numpy.ascontiguousarray(array) instead");
  BOOST_TEST(load(npy_file(header("'>f4'", "False", "(2,)"), eight)) ==
             "its npy header, at byte 25, has big-endian elements, '>f4'; only little-endian ones are known");
  BOOST_TEST(
      load(npy_file(header("'<f2'", "False", "(4,)"), eight)) ==
      "its npy header, at byte 25, has the dtype '<f2'; only f32, f64, i32, i64, u8 and bool are known");
  BOOST_TEST(load(npy_file(header("[('a', '<f4')]", "False", "(2,)"), eight)).find("records") !=
             std::string::npos);
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(3,)"), eight)) ==
             "its header says f32 [3], but 8 bytes of data follow from byte 68 on");
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(1,)"), eight)) ==
             "its header says f32 [1], but 8 bytes of data follow from byte 68 on");
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(-2,)"), eight)).find("extent") != std::string::npos);
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(99999999999999999999,)"), eight)).find("extent") !=
             std::string::npos);
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(4611686018427387904,)"), "")).find("2^48") !=
             std::string::npos);
  BOOST_TEST(
      load(npy_file(header("'<f4'", "False", "(281474976710656,)"), "")).find("bytes of data follow") !=
      std::string::npos);
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(4294967296, 4294967296)"), eight)).find("2^48") !=
             std::string::npos);
  BOOST_TEST(load(npy_file(header("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"), eight)).find("8 axes") !=
             std::string::npos);
  BOOST_TEST(load(npy_file("{'descr': '<f4', 'shape': (2,)}", eight)).find("lacks") != std::string::npos);
  BOOST_TEST(load(npy_file(header("'|b1'", "False", "(8,)"), std::string(7, '\1') + '\2')) ==
             "it has a bool that is neither 0 nor 1 at byte 75");
  BOOST_TEST(thrown([&] { save_npy(folder / "b.npy", Tensor(DType::bf16, {1})); }) ==
             "can't save " + (folder / "b.npy").string() + ": npy has no bf16");
}

BOOST_AUTO_TEST_CASE(damaged_anywhere_it_loads_or_is_an_io_error) {
  const TemporaryFolder folder;
  save_npy(folder / "a.npy", Tensor::from({1.0f, 2.0f, 3.0f}, {3, 1}));
  const std::string whole = file_content(folder / "a.npy");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(folder / "a.npy", whole.substr(0, size));
    BOOST_CHECK_THROW(load_npy(folder / "a.npy"), IoError);
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string bytes = whole;
      bytes[i] = char(bytes[i] ^ change);
      write_file(folder / "a.npy", bytes);
      try {
        load_npy(folder / "a.npy");
      } catch (const IoError& e) {
        BOOST_TEST(printable(e.what()) == e.what());
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
