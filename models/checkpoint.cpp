#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/models/checkpoint.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace tapestry {
namespace {

constexpr std::string_view kKind[] = {"parameter", "statistic", "optimizer"};

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 29);
}

/// Of one tensor. Each step can be undone, so a change within one word is sure to show; four streams, because
/// a multiplication has to wait for the one before it.
std::uint64_t checksum(const NamedTensor& named) {
  std::uint64_t hash = 0;
  for (const char c : named.name) hash = mix(hash, static_cast<unsigned char>(c));
  const auto* bytes = static_cast<const std::byte*>(named.tensor.data());
  const std::size_t size = named.tensor.bytes();
  std::array<std::uint64_t, 4> streams{1, 2, 3, 4}, words{};
  for (std::size_t at = 0; at < size; at += sizeof words) {
    words = {};
    std::memcpy(words.data(), bytes + at, std::min(sizeof words, size - at));
    for (std::size_t i = 0; i < words.size(); ++i) streams[i] = mix(streams[i], words[i]);
  }
  for (const std::uint64_t stream : streams) hash = mix(hash, stream);
  return mix(hash, size);
}

/// Of all, in any order: other programs may write them in another.
std::string checksum(std::span<const NamedTensor> tensors) {
  std::uint64_t total = 0;
  for (const NamedTensor& named : tensors) total += checksum(named);
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), total, 16).ptr;
  return {digits.data(), end};
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const StateDict& state, const Metadata& metadata) {
  std::vector<NamedTensor> tensors;
  Metadata all = metadata;
  all["format"] = "tapestry-checkpoint-1";
  for (const State& s : state) {
    tensors.push_back({s.name(), s.value()});
    all["kind/" + s.name()] = kKind[std::size_t(s.kind())];
  }
  all["checksum"] = checksum(tensors);
  save_safetensors(path, tensors, all);
}

Metadata load_checkpoint(const std::filesystem::path& path, const StateDict& state, Restore what) {
  const SafetensorsFile file = load_safetensors(path);
  const auto refuse = [&](const auto&... why) { throw IoError(text(path.string(), ": ", why...)); };
  if (const auto it = file.metadata.find("format");
      it == file.metadata.end() || it->second != "tapestry-checkpoint-1") {
    refuse("is a safetensors file, but not a Tapestry checkpoint");
  }
  if (const auto it = file.metadata.find("checksum"); it != file.metadata.end()) {
    const std::string found = checksum(file.tensors);
    if (found != it->second) {
      refuse("is damaged: the checksum of its tensors is ", found, ", not the ", it->second,
             " that they were saved with");
    }
  }
  const auto concerns = [&](StateKind kind) {
    return what == Restore::everything || kind != StateKind::optimizer;
  };
  // First look at everything, then change anything.
  std::vector<std::pair<State, Tensor>> found;
  std::unordered_set<std::string> names;
  for (const State& s : state) {
    if (!concerns(s.kind())) continue;
    const Tensor* tensor = file.find(s.name());
    if (!tensor) refuse("is a checkpoint of another model: it has no ", s.name(), ' ', s.type());
    if (tensor->type() != s.type()) {
      refuse("is a checkpoint of another model: its ", s.name(), " is ", tensor->type(), ", this one's ",
             s.type());
    }
    found.emplace_back(s, *tensor);
    names.insert(s.name());
  }
  for (const NamedTensor& named : file.tensors) {
    const auto kind = file.metadata.find("kind/" + named.name);
    const bool optimizer =
        kind != file.metadata.end() && kind->second == kKind[std::size_t(StateKind::optimizer)];
    if (optimizer && what == Restore::model) continue;
    if (!names.contains(named.name)) {
      refuse("is a checkpoint of another model: this one has no ", named.name, ' ', named.tensor.type());
    }
  }
  for (const auto& [s, tensor] : found) s.set(tensor);
  return file.metadata;
}

}  // namespace tapestry
