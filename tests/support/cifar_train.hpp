// cifar_train and data for it, for the tests of the program.
#pragma once

#include <tapestry/models/data/synthetic_cifar10.hpp>
#include <tapestry/tests/support/child.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tapestry::test {

using Words = std::vector<std::string>;

inline ChildResult cifar_train(const Words& arguments, const ChildOptions& options = {}) {
  return run_child(TAPESTRY_CIFAR_TRAIN, arguments, options);
}

/// Full-sized stand-in files, drawn once a test program.
inline const std::filesystem::path& cifar10_folder() {
  static const TemporaryFolder folder;
  static const std::filesystem::path path = [] {
    write_synthetic_cifar10(folder / "cifar10", 1);
    return folder / "cifar10";
  }();
  return path;
}

/// A copy of the data in which the file `name` is to be replaced; the others are links.
inline std::filesystem::path cifar10_without(const std::filesystem::path& folder, const std::string& name) {
  std::filesystem::create_directories(folder);
  for (const auto& entry : std::filesystem::directory_iterator(cifar10_folder())) {
    const auto file = entry.path().filename();
    if (file != name) std::filesystem::create_symlink(entry.path(), folder / file);
  }
  return folder;
}

/// `train` of a small net into `out`; `more` adds options or replaces them. With --model no --hidden is
/// given: not all of them take it.
inline Words small_training(const std::filesystem::path& out, const Words& more = {}) {
  Words words{"train", "--data", cifar10_folder().string(), "--out", out.string()};
  const std::pair<std::string, std::string> defaults[] = {{"--num-train", "400"},
                                                          {"--hidden", "20"},
                                                          {"--batch-size", "50"},
                                                          {"--train-samples", "100"},
                                                          {"--epochs", "2"}};
  for (const auto& [option, value] : defaults) {
    if (option == "--hidden" && std::ranges::find(more, "--model") != more.end()) continue;
    if (std::ranges::find(more, option) == more.end()) words.insert(words.end(), {option, value});
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Is it "cifar_train: " and one line?
inline bool one_sentence(const std::string& text) {
  return text.starts_with("cifar_train: ") && std::ranges::count(text, '\n') == 1 && text.ends_with('\n');
}
/// What was printed to stderr after the notice that the images are drawn, if that is there.
inline std::string complaint(const ChildResult& result) {
  const std::size_t at = result.err.find("cifar_train: ");
  return at == std::string::npos ? result.err : result.err.substr(at);
}

}  // namespace tapestry::test
