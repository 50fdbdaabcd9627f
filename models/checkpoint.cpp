#include <tapestry/core/io/safetensors.hpp>
#include <tapestry/models/checkpoint.hpp>

#include <string_view>
#include <unordered_set>
#include <vector>

namespace tapestry {
namespace {

constexpr std::string_view kKind[] = {"parameter", "statistic", "optimizer"};

}  // namespace

void save_checkpoint(const std::filesystem::path& path, const StateDict& state, const Metadata& metadata) {
  std::vector<NamedTensor> tensors;
  Metadata all = metadata;
  all["format"] = "tapestry-checkpoint-1";
  for (const State& s : state) {
    tensors.push_back({s.name(), s.value()});
    all["kind/" + s.name()] = kKind[std::size_t(s.kind())];
  }
  save_safetensors(path, tensors, all);
}

Metadata load_checkpoint(const std::filesystem::path& path, const StateDict& state, Restore what) {
  const SafetensorsFile file = load_safetensors(path);
  const auto refuse = [&](const auto&... why) { throw IoError(text(path.string(), ": ", why...)); };
  if (const auto it = file.metadata.find("format");
      it == file.metadata.end() || it->second != "tapestry-checkpoint-1") {
    refuse("is a safetensors file, but not a Tapestry checkpoint");
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
