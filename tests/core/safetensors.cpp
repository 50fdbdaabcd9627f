#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <bit>
#include <cmath>
#include <limits>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// The bytes of a safetensors file.
std::string file_of(std::string header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  return bytes + header + std::string(data);
}

std::vector<NamedTensor> one_of_each_dtype() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {
      {"u8", Tensor::from<std::uint8_t>({0, 1, 255}, {3})},
      {"fc1/weight", Tensor::from({0.1f, -0.0f, nan, 1e-45f, 3e38f, -INFINITY}, {2, 3})},
      {"bool", Tensor::from({true, false, true}, {1, 3, 1})},
      {"f64", Tensor::from({0.1, 5e-324, -1.7e308}, {3})},
      {"bf16", Tensor::from({bf16(1.5f), bf16(-2.0f)}, {2})},
      {"i32", Tensor::from<std::int32_t>({std::numeric_limits<std::int32_t>::min(), 7}, {2, 1})},
      {"i64", Tensor::from<std::int64_t>({std::numeric_limits<std::int64_t>::min(), 1LL << 40}, {2})},
      {"scalar", Tensor::scalar(2.5f)},
      {"empty", Tensor(DType::f32, {0, 5})},
      {"a \"quoted\" name, \xc3\xa9", Tensor(DType::f32, {1})},
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors)

BOOST_AUTO_TEST_CASE(a_round_trip_keeps_bits_order_and_metadata) {
  const TemporaryFolder folder;
  const auto tensors = one_of_each_dtype();
  const std::map<std::string, std::string> metadata = {
      {"step", "17"}, {"note", "line\nbreak \"q\""}, {"", ""}};
  save_safetensors(folder / "a", tensors, metadata);
  const SafetensorsFile loaded = load_safetensors(folder / "a");
  BOOST_TEST((loaded.metadata == metadata));
  BOOST_REQUIRE(loaded.tensors.size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    BOOST_TEST(loaded.tensors[i].name == tensors[i].name);
    BOOST_TEST(identical(loaded.tensors[i].tensor, tensors[i].tensor));
  }
  BOOST_TEST(loaded.find("i32") == &loaded.tensors[5].tensor);
  BOOST_TEST((loaded.find("i33") == nullptr));
}

BOOST_AUTO_TEST_CASE(the_same_tensors_give_the_same_bytes) {
  const TemporaryFolder folder;
  save_safetensors(folder / "a", one_of_each_dtype());
  save_safetensors(folder / "b", load_safetensors(folder / "a").tensors);
  BOOST_TEST((file_content(folder / "a") == file_content(folder / "b")));
}

BOOST_AUTO_TEST_CASE(the_format_is_the_published_one) {
  const TemporaryFolder folder;
  save_safetensors(folder / "a", std::vector<NamedTensor>{{"x", Tensor::from<std::int32_t>({1, 2}, {2})}},
                   {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"x":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}})";
  const std::string padding((8 - header.size() % 8) % 8, ' ');
  BOOST_TEST(
      (file_content(folder / "a") == file_of(header + padding, std::string_view("\1\0\0\0\2\0\0\0", 8))));
}

BOOST_AUTO_TEST_CASE(every_tensor_is_aligned_in_the_file) {
  const TemporaryFolder folder;
  save_safetensors(folder / "a", one_of_each_dtype());
  const std::string bytes = file_content(folder / "a");
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  BOOST_TEST(header % 8 == 0);
  // f64 and i64 first (5 elements), then f32 and i32, then bf16, then single bytes.
  double first = 0;
  std::memcpy(&first, bytes.data() + 8 + header, sizeof first);
  BOOST_TEST(first == 0.1);
}

BOOST_AUTO_TEST_CASE(no_tensors_at_all) {
  const TemporaryFolder folder;
  save_safetensors(folder / "a", {});
  BOOST_TEST(load_safetensors(folder / "a").tensors.empty());
  write_file(folder / "b", file_of("{}", ""));
  BOOST_TEST(load_safetensors(folder / "b").tensors.empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_saved) {
  const TemporaryFolder folder;
  const Tensor t(DType::f32, {1});
  const auto save = [&](std::vector<NamedTensor> tensors) {
    return thrown([&] { save_safetensors(folder / "a", tensors); });
  };
  const std::string prefix = "can't save " + (folder / "a").string() + ": ";
  BOOST_TEST(save({{"x", t}, {"x", t}}) == prefix + "two tensors are named 'x'");
  BOOST_TEST(save({{"__metadata__", t}}) ==
             prefix + "no tensor may be named '__metadata__', for the format has another use for that");
  BOOST_TEST(save({{"\xff", t}}) == prefix + "a name or metadata text is not UTF-8");
  BOOST_TEST(!std::filesystem::exists(folder / "a"));
}

BOOST_AUTO_TEST_CASE(damage_is_described) {
  const TemporaryFolder folder;
  const auto load = [&](const std::string& bytes) {
    write_file(folder / "a", bytes);
    const std::string message = thrown<IoError>([&] { load_safetensors(folder / "a"); });
    const std::string prefix = "can't load " + (folder / "a").string() + ": ";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  };
  const auto load_header = [&](const std::string& header, std::size_t data_bytes) {
    return load(file_of(header, std::string(data_bytes, '\0')));
  };
  BOOST_TEST(load("") == "it has 0 bytes, but a safetensors file begins with 8 bytes of header length");
  BOOST_TEST(load("\x89PNG\r\n\x1a\n and so on")
                 .starts_with("not a safetensors file: bytes 0 to 7 give a header length of "));
  BOOST_TEST(load(file_of("{}", "").substr(0, 9)) ==
             "cut short: the header ends at byte 10, the file at byte 9");
  BOOST_TEST(load_header("[1]", 0) == "not a safetensors file: byte 8 is not the '{' of its header");
  BOOST_TEST(load_header("{\"x\": }", 0) == "its header is not JSON: error at byte 14");
  BOOST_TEST(load_header("{} x", 0) == "its header is not JSON: error at byte 11");
  BOOST_TEST(load_header("{\"\xff\": 1}", 0) == "its header is not JSON: error at byte 10");

  const auto tensor = [](std::string dtype, std::string shape, std::string offsets) {
    return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const auto load_x = [&](const std::string& x, std::size_t data_bytes) {
    return load_header("{\"x\":" + x + "}", data_bytes);
  };
  BOOST_TEST(load_x(tensor("F32", "[2]", "[0,8]"), 8) == "(nothing was thrown)");  // this one is fine
  BOOST_TEST(load_x("3", 0) == "tensor 'x' is not described by a JSON object");
  BOOST_TEST(load_x("{\"dtype\":\"F32\",\"shape\":[1]}", 4) == "tensor 'x' has no data_offsets");
  BOOST_TEST(load_x(tensor("F16", "[2]", "[0,4]"), 4) ==
             "tensor 'x' has the dtype F16; only F32, F64, BF16, I32, I64, U8 and BOOL are known");
  BOOST_TEST(load_x(tensor("F32", "[3]", "[0,8]"), 8) ==
             "tensor 'x' is f32 [3] but has the data_offsets 0 to 8");
  BOOST_TEST(load_x(tensor("F32", "[2]", "[8,0]"), 8) ==
             "tensor 'x' is f32 [2] but has the data_offsets 8 to 0");
  BOOST_TEST(load_x(tensor("F32", "[2]", "[0,8]"), 7).starts_with("cut short: the data ends at byte "));
  BOOST_TEST(load_x(tensor("F32", "[2]", "[0,8]"), 9).starts_with("1 bytes follow the data's end at byte "));
  BOOST_TEST(load_x(tensor("F32", "[2]", "[4,12]"), 12).find("with a hole after") != std::string::npos);
  BOOST_TEST(load_x(tensor("F32", "[-2]", "[0,8]"), 8) == "the shape of tensor 'x' has the extent -2");
  BOOST_TEST(load_x(tensor("F32", "[2.0]", "[0,8]"), 8) == "the shape of tensor 'x' has the extent 2.0");
  BOOST_TEST(load_x(tensor("F32", "[18446744073709551615]", "[0,8]"), 8) ==
             "the shape of tensor 'x' has the extent 18446744073709551615");
  BOOST_TEST(load_x(tensor("F32", "[4294967296,4294967296]", "[0,8]"), 8).find("2^48 elements") !=
             std::string::npos);
  // 2^62 elements of 4 bytes: 2^64, which wraps around to 0.
  BOOST_TEST(load_x(tensor("F32", "[4611686018427387904]", "[0,0]"), 0).find("2^48 elements") !=
             std::string::npos);
  BOOST_TEST(load_x(tensor("F32", "[281474976710656]", "[0,0]"), 0) ==
             "tensor 'x' is f32 [281474976710656] but has the data_offsets 0 to 0");
  BOOST_TEST(load_x(tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4) ==
             "tensor 'x' has 9 axes, more than 8");
  BOOST_TEST(load_x(tensor("F32", "[0]", "[-1,-1]"), 0) ==
             "the data_offsets of tensor 'x' are not two byte counts");
  BOOST_TEST(load_x(tensor("F32", "[0]", "[18446744073709551615,18446744073709551615]"), 0)
                 .find("with a hole after") != std::string::npos);
  BOOST_TEST(
      load_header("{\"x\":" + tensor("F32", "[2]", "[0,8]") + ",\"y\":" + tensor("F32", "[1]", "[4,8]") + "}",
                  8)
          .find("'y' begins at byte") != std::string::npos);
  BOOST_TEST(
      load_header("{\"x\":" + tensor("U8", "[1]", "[0,1]") + ",\"x\":" + tensor("U8", "[1]", "[0,1]") + "}",
                  1) == "its header has the name 'x' twice");
  BOOST_TEST(load_header("{\"__metadata__\":{\"a\":1}}", 0) == "the metadata 'a' is not a string");
  BOOST_TEST(load_header("{\"__metadata__\":[]}", 0) == "its __metadata__ is not a JSON object");
  const std::string bools = "{\"x\":" + tensor("BOOL", "[3]", "[0,3]") + "}";
  BOOST_TEST(load(file_of(bools, std::string_view("\0\1\2", 3))) ==
             "tensor 'x' has a bool that is neither 0 nor 1 at byte " + std::to_string(8 + bools.size() + 2));
  BOOST_TEST(load_header(std::string(200'000, '[').replace(0, 5, "{\"x\":"), 0).find("not JSON") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(files_that_cannot_be_read) {
  const TemporaryFolder folder;
  BOOST_TEST(thrown<IoError>([&] { load_safetensors(folder / "none"); }) ==
             "can't read " + (folder / "none").string() + ": No such file or directory");
  BOOST_TEST(thrown<IoError>([&] { load_safetensors(folder.path()); }) ==
             "can't read " + folder.path().string() + ": Is a directory");
}

// No damage may crash: an IoError, or for bytes that nothing guards (elements, names) a file that loads.
BOOST_AUTO_TEST_CASE(cut_anywhere_it_is_an_io_error) {
  const TemporaryFolder folder;
  save_safetensors(folder / "whole", one_of_each_dtype(), {{"step", "17"}});
  const std::string whole = file_content(folder / "whole");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(folder / "a", whole.substr(0, size));
    BOOST_CHECK_THROW(load_safetensors(folder / "a"), IoError);
  }
}

BOOST_AUTO_TEST_CASE(with_any_byte_changed_it_loads_or_is_an_io_error) {
  const TemporaryFolder folder;
  save_safetensors(folder / "whole", one_of_each_dtype(), {{"step", "17"}});
  const std::string whole = file_content(folder / "whole");
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string bytes = whole;
      bytes[i] = char(bytes[i] ^ change);
      write_file(folder / "a", bytes);
      try {
        load_safetensors(folder / "a");
      } catch (const IoError&) {
        ++refused;
      }
    }
  }
  BOOST_TEST(refused > 1000);
}

BOOST_AUTO_TEST_SUITE_END()
