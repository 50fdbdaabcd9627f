#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/models/checkpoint.hpp>
#include <tapestry/models/fully_connected.hpp>
#include <tapestry/tests/support/files.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>
#include <tapestry/tests/support/thrown.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

#include <boost/test/unit_test.hpp>

using namespace tapestry;
using namespace tapestry::test;

namespace {

/// A small model's parameters, statistics and a moment.
StateDict small_state(double value) {
  StateDict state;
  state.create("fc1/weight", Tensor::linspace(value, value + 1, {2, 3}));
  state.create("norm1/mean", Tensor::linspace(value, value, {3}), StateKind::statistic);
  state.create("adam/t", Tensor::scalar(std::int64_t(value)), StateKind::optimizer);
  return state;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.type() == b.type() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_AUTO_TEST_CASE(round_trip) {
  const TemporaryFolder folder;
  StateDict saved = small_state(1), loaded = small_state(5);
  saved.at("fc1/weight").set(Tensor::linspace(-0.0, std::nan(""), {2, 3}));  // bits, not numbers, come back
  save_checkpoint(folder / "a", saved, {{"iteration", "17"}});
  const Metadata metadata = load_checkpoint(folder / "a", loaded, Restore::everything);
  BOOST_TEST(metadata.at("iteration") == "17");
  for (const State& state : saved) BOOST_TEST(same_bits(state.value(), loaded.at(state.name()).value()));
}

BOOST_AUTO_TEST_CASE(only_the_model) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "a", small_state(1));
  StateDict loaded = small_state(5);
  load_checkpoint(folder / "a", loaded, Restore::model);
  BOOST_TEST(loaded.at("fc1/weight").value().at(0) == 1);
  BOOST_TEST(loaded.at("norm1/mean").value().at(0) == 1);
  BOOST_TEST(loaded.at("adam/t").value().at(0) == 5);  // left alone

  // Neither side needs to have optimizer state, or the same.
  StateDict plain;
  plain.create("fc1/weight", Tensor::linspace(5, 6, {2, 3}));
  plain.create("norm1/mean", Tensor::linspace(5, 5, {3}), StateKind::statistic);
  load_checkpoint(folder / "a", plain, Restore::model);
  BOOST_TEST(plain.at("fc1/weight").value().at(0) == 1);
  save_checkpoint(folder / "plain", plain);
  load_checkpoint(folder / "plain", loaded, Restore::model);
  BOOST_TEST(loaded.at("adam/t").value().at(0) == 5);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_changes_nothing) {
  const TemporaryFolder folder;
  const auto refused = [&](const StateDict& saved, Restore what = Restore::everything) {
    save_checkpoint(folder / "a", saved);
    StateDict state = small_state(5);
    const std::string error = thrown<IoError>([&] { load_checkpoint(folder / "a", state, what); });
    for (const State& before : small_state(5))
      BOOST_TEST(same_bits(state.at(before.name()).value(), before.value()));
    return error;
  };
  const std::string other = (folder / "a").string() + ": is a checkpoint of another model: ";

  StateDict without_moment;
  without_moment.create("fc1/weight", Tensor::linspace(1, 2, {2, 3}));
  without_moment.create("norm1/mean", Tensor::linspace(1, 1, {3}), StateKind::statistic);
  BOOST_TEST(refused(without_moment) == other + "it has no adam/t i64 []");

  StateDict surplus = small_state(1);
  surplus.create("fc2/weight", Tensor::linspace(1, 2, {4}));
  BOOST_TEST(refused(surplus) == other + "this one has no fc2/weight f64 [4]");
  BOOST_TEST(refused(surplus, Restore::model) == other + "this one has no fc2/weight f64 [4]");

  StateDict wide;
  wide.create("fc1/weight", Tensor::linspace(1, 2, {2, 4}));
  BOOST_TEST(refused(wide) == other + "its fc1/weight is f64 [2, 4], this one's f64 [2, 3]");

  StateDict narrow;  // the last of them doesn't fit: those before are left as they were, too
  narrow.create("fc1/weight", Tensor::linspace(1, 2, {2, 3}));
  narrow.create("norm1/mean", Tensor::linspace(1, 1, {3}).to(DType::f32), StateKind::statistic);
  BOOST_TEST(refused(narrow, Restore::model) == other + "its norm1/mean is f32 [3], this one's f64 [3]");
}

BOOST_AUTO_TEST_CASE(files_that_are_none) {
  const TemporaryFolder folder;
  StateDict state = small_state(5);
  BOOST_TEST(thrown<IoError>([&] {
               load_checkpoint(folder / "none", state, Restore::model);
             }).find((folder / "none").string()) != std::string::npos);
  save_safetensors(folder / "foreign", std::vector<NamedTensor>{{"x", Tensor::scalar(1.0)}});
  BOOST_TEST(thrown<IoError>([&] { load_checkpoint(folder / "foreign", state, Restore::model); }) ==
             (folder / "foreign").string() + ": is a safetensors file, but not a Tapestry checkpoint");
}

BOOST_AUTO_TEST_CASE(any_damaged_byte_is_noticed) {
  const TemporaryFolder folder;
  const std::string path = (folder / "a").string();
  StateDict saved = small_state(1), loaded = small_state(5);
  saved.create("odd", Tensor(DType::u8, {37}));
  loaded.create("odd", Tensor(DType::u8, {37}));
  save_checkpoint(path, saved);
  const std::string whole = file_content(path);
  const std::size_t data_bytes = 6 * 8 + 3 * 8 + 8 + 37;
  for (std::size_t i = whole.size() - data_bytes; i < whole.size(); ++i) {
    for (const int bit : {0, 7}) {
      std::string damaged = whole;
      damaged[i] = char(damaged[i] ^ (1 << bit));
      write_file(path, damaged);
      const std::string error = thrown<IoError>([&] { load_checkpoint(path, loaded, Restore::everything); });
      BOOST_TEST(error.starts_with(path + ": is damaged: the checksum of its tensors is "), error);
    }
  }
  BOOST_TEST(loaded.at("fc1/weight").value().at(0) == 5);  // nothing was loaded
  // Two tensors in each other's place are damage, too.
  NamedTensor again[] = {{"a", Tensor::scalar(1.0)}, {"b", Tensor::scalar(2.0)}};
  StateDict two;
  for (const auto& [name, tensor] : again) two.create(name, tensor);
  save_checkpoint(folder / "two", two);
  const Metadata metadata = load_safetensors(folder / "two").metadata;
  std::swap(again[0].tensor, again[1].tensor);
  save_safetensors(folder / "two", again, metadata);
  BOOST_CHECK_THROW(load_checkpoint(folder / "two", two, Restore::everything), IoError);

  write_file(path, whole);
  SafetensorsFile file = load_safetensors(path);
  std::ranges::reverse(file.tensors);  // the order doesn't matter
  save_safetensors(path, file.tensors, file.metadata);
  load_checkpoint(path, loaded, Restore::everything);
  BOOST_TEST(loaded.at("fc1/weight").value().at(0) == 1);
  file.metadata.erase("checksum");  // as files were before there was one
  save_safetensors(path, file.tensors, file.metadata);
  load_checkpoint(path, loaded, Restore::everything);
}

BOOST_AUTO_TEST_CASE(model_of_real_layers) {
  const TemporaryFolder folder;
  const FullyConnectedOptions options{
      .hidden = {4, 3}, .inputs = 5, .normalization = Normalization::batch, .seed = 1};
  FullyConnectedOptions reseeded = options, unnormalized = options;
  reseeded.seed = 2;
  unnormalized.normalization = Normalization::none;
  const FullyConnectedNet a(options), b(reseeded), c(unnormalized);
  BOOST_TEST(!same_bits(a.state().at("fc1/weight").value(), b.state().at("fc1/weight").value()));
  save_checkpoint(folder / "a", a.state());
  load_checkpoint(folder / "a", b.state(), Restore::everything);
  for (const State& state : a.state())
    BOOST_TEST(same_bits(state.value(), b.state().at(state.name()).value()));
  BOOST_CHECK_THROW(load_checkpoint(folder / "a", c.state(), Restore::model), IoError);
}

BOOST_AUTO_TEST_SUITE_END()
