// What goes wrong while the program runs: one sentence, an exit code of 1, and nothing already saved is lost.
#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/tests/support/cifar_train.hpp>
#include <tapestry/tests/support/files.hpp>

#include <cmath>
#include <set>

#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

using namespace tapestry;
using namespace tapestry::test;
namespace fs = std::filesystem;

namespace {

void check_failure(const ChildResult& result, const std::string& part, int code = 1) {
  BOOST_TEST_CONTEXT(result.err) {
    BOOST_TEST(result.code == code);
    BOOST_TEST(one_sentence(complaint(result)));
    BOOST_TEST(result.err.find(part) != std::string::npos);
  }
}

std::set<std::string> files_of(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

/// A run of one epoch that went well, in a folder of its own for each test that damages it.
struct Run {
  TemporaryFolder place;
  fs::path folder = place / "run";
  fs::path last = folder / "last.safetensors", best = folder / "best.safetensors";

  explicit Run(const Words& more = {"--epochs", "1"}) {
    const ChildResult result = cifar_train(small_training(folder, more));
    BOOST_REQUIRE_MESSAGE(result.code == 0, result.err);
  }
  ChildResult resume(const Words& more = {"--epochs", "2"}, const ChildOptions& options = {}) const {
    Words words{"train", "--resume", folder.string()};
    words.insert(words.end(), more.begin(), more.end());
    return cifar_train(words, options);
  }
  ChildResult evaluate(const Words& more = {}) const {
    Words words{"evaluate", folder.string()};
    words.insert(words.end(), more.begin(), more.end());
    return cifar_train(words);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(failures)

BOOST_AUTO_TEST_CASE(a_folder_in_which_another_process_trains) {
  const Run run;
  const std::string metrics = file_content(run.folder / "metrics.csv");
  const int other = ::open(run.folder.c_str(), O_RDONLY);
  BOOST_REQUIRE(::flock(other, LOCK_EX) == 0);
  check_failure(run.resume(), run.folder.string() + " is in use: another process trains there");
  BOOST_TEST(file_content(run.folder / "metrics.csv") == metrics);
  BOOST_TEST(run.evaluate().code == 0);
  ::close(other);
  BOOST_TEST(run.resume().code == 0);
}

BOOST_AUTO_TEST_CASE(damaged_data) {
  const TemporaryFolder place;
  const auto train = [&](const fs::path& data) {
    const ChildResult result =
        cifar_train({"train", "--data", data.string(), "--out", (place / "run").string()});
    BOOST_TEST(!fs::exists(place / "run"));  // no folder for a run that can't begin
    return result;
  };
  check_failure(train(place / "nowhere"), (place / "nowhere").string());
  fs::create_directory(place / "empty");
  check_failure(train(place / "empty"), "there is no CIFAR-10 in " + (place / "empty").string());

  const fs::path lacking = cifar10_without(place / "lacking", "data_batch_3.bin");
  check_failure(train(lacking), "lacks data_batch_3.bin");

  const std::string whole = file_content(cifar10_folder() / "data_batch_2.bin");
  BOOST_REQUIRE(whole.size() == 30'730'000u);
  const fs::path damaged = cifar10_without(place / "damaged", "data_batch_2.bin");
  const fs::path file = damaged / "data_batch_2.bin";
  write_file(file, std::string_view(whole).substr(0, whole.size() - 1));
  check_failure(train(damaged), file.string() + ": 30729999 bytes, but a CIFAR-10 batch has 30730000");
  write_file(file, whole + 'x');
  check_failure(train(damaged), file.string() + ": 30730001 bytes");
  write_file(file, "");
  check_failure(train(damaged), file.string() + ": 0 bytes");

  std::string mislabelled = whole;
  mislabelled[3073 * 5000] = 10;
  write_file(file, mislabelled);
  check_failure(train(damaged), file.string() + ": record 5000 (byte 15365000) has the label 10");

  write_file(place / "cifar-10-binary.tar.gz", "this is a text, not an archive");
  check_failure(train(place / "cifar-10-binary.tar.gz"), "cifar-10-binary.tar.gz");
}

BOOST_AUTO_TEST_CASE(folders_that_do_not_work) {
  const TemporaryFolder place;
  write_file(place / "file", "a regular file");
  check_failure(cifar_train(small_training(place / "file/run")),
                "can't make the run folder " + (place / "file/run").string());
  check_failure(cifar_train(small_training(place / "file")), (place / "file").string());
  check_failure(cifar_train({"train", "--resume", (place / "nothing").string()}), "is this a run folder?");
  check_failure(cifar_train({"evaluate", (place / "nothing").string()}), "is this a run folder?");
  check_failure(cifar_train({"predict", (place / "nothing").string(), "x.png"}), "is this a run folder?");
  check_failure(cifar_train({"describe", "--hidden", "5", "--graph", (place / "file/graph.dot").string()}),
                (place / "file/graph.dot").string());
}

BOOST_AUTO_TEST_CASE(checkpoints_that_do_not_work) {
  const Run run;
  const auto both = [&](const std::string& part) {
    check_failure(run.resume(), part);
    check_failure(run.evaluate({"--checkpoint", "last"}), part);
  };
  const std::string whole = file_content(run.last);
  fs::remove(run.last);
  both(run.last.string());
  write_file(run.last, "");
  both(run.last.string() + ": it has 0 bytes");
  for (const std::size_t size : {std::size_t(5), whole.size() / 2, whole.size() - 1}) {
    write_file(run.last, std::string_view(whole).substr(0, size));
    both(run.last.string());
  }
  std::string corrupt = whole;
  corrupt[20] = '\x01';  // in the header
  write_file(run.last, corrupt);
  both(run.last.string());
  write_file(run.last, whole + "more");
  both("4 bytes follow the data's end");
  write_file(run.last, "<html>404 this is a page of a web server, not a checkpoint</html>");
  both("not a safetensors file");
  save_safetensors(run.last, std::vector<NamedTensor>{{"fc1/weight", Tensor(DType::f32, {2})}});
  both("is a safetensors file, but not a Tapestry checkpoint");

  write_file(run.last, whole);
  BOOST_TEST(run.resume().code == 0);
}

BOOST_AUTO_TEST_CASE(checkpoint_of_another_model) {
  const Run run, other({"--epochs", "1", "--hidden", "30"}), deep({"--epochs", "1", "--hidden", "20,20"});
  for (const Run* foreign : {&other, &deep}) {
    fs::copy_file(foreign->last, run.last, fs::copy_options::overwrite_existing);
    check_failure(run.resume(), "is a checkpoint of another model");
    check_failure(run.evaluate({"--checkpoint", foreign->best.string()}), "is a checkpoint of another model");
  }
}

BOOST_AUTO_TEST_CASE(run_folder_in_use) {
  const Run run;
  const std::string saved = file_content(run.last);
  check_failure(cifar_train(small_training(run.folder)), "already holds a run: go on with --resume", 2);
  check_failure(run.resume({"--hidden", "30"}), "--hidden can't change when a run is resumed", 2);
  BOOST_TEST((file_content(run.last) == saved));
}

BOOST_AUTO_TEST_CASE(full_disk) {
  const Run run;
  const std::string last = file_content(run.last), best = file_content(run.best);
  const std::set<std::string> files = files_of(run.folder);
  // The images to train on are read, a checkpoint of 740 kB is too much.
  check_failure(run.resume({"--epochs", "2"}, {.file_bytes = 200'000}), run.folder.string());
  BOOST_TEST((file_content(run.last) == last));
  BOOST_TEST((file_content(run.best) == best));
  BOOST_TEST((files_of(run.folder) == files));  // no half-written file stays behind
  // And once there is room again:
  BOOST_TEST(run.resume().code == 0);

  const TemporaryFolder place;
  check_failure(cifar_train(small_training(place / "run"), {.file_bytes = 200'000}),
                (place / "run").string());
  BOOST_TEST(!fs::exists(place / "run/last.safetensors"));
}

BOOST_AUTO_TEST_CASE(loss_that_is_not_finite) {
  const TemporaryFolder place;
  const fs::path folder = place / "run";
  const ChildResult result = cifar_train(
      small_training(folder, {"--optimizer", "sgd", "--learning-rate", "1e30", "--normalization", "none"}));
  BOOST_TEST_MESSAGE(result.err);
  check_failure(result, "first made by fc2/linear/matmul");
  // The step is not applied: what was saved before training holds finite numbers.
  const SafetensorsFile saved = load_safetensors(folder / "last.safetensors");
  BOOST_TEST(saved.metadata.at("iteration") == "0");
  for (const NamedTensor& named : saved.tensors) {
    bool finite = true;
    for (std::int64_t i = 0; i < named.tensor.elements(); ++i) finite &= std::isfinite(named.tensor.at(i));
    BOOST_TEST(finite, named.name);
  }
  BOOST_TEST(cifar_train({"evaluate", folder.string(), "--checkpoint", "last"}).code == 0);

  // In the very first step, and the first op that made such a value is named.
  const ChildResult first =
      cifar_train(small_training(place / "first", {"--weight-scale", "1e36", "--normalization", "none"}));
  check_failure(first, "first made by fc1/linear/matmul");
}

BOOST_AUTO_TEST_CASE(pictures_that_can_not_be_read) {
  const Run run;
  write_file(run.place / "text.png", "no picture");
  check_failure(cifar_train({"predict", run.folder.string(), (run.place / "text.png").string()}), "text.png");
  check_failure(cifar_train({"predict", run.folder.string(), (run.place / "none.png").string()}), "none.png");
}

BOOST_AUTO_TEST_SUITE_END()
