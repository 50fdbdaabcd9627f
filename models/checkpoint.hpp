// Checkpoints: all State in one safetensors file, so that a run resumed from it goes on with the same bits.
#pragma once

#include <tapestry/core/state.hpp>

#include <filesystem>
#include <map>
#include <string>

namespace tapestry {

using Metadata = std::map<std::string, std::string>;

/// Replaces the file atomically. Its metadata holds a checksum of all tensors.
void save_checkpoint(const std::filesystem::path& path, const StateDict& state,
                     const Metadata& metadata = {});

enum class Restore : std::uint8_t {
  everything,  // each state must be in the file and each tensor of the file must be a state
  model,       // optimizer state is left alone: to evaluate, or to start another training
};

/// Sets `state` to what the file holds and returns its metadata. A file that is missing, damaged or of
/// another model throws an IoError that says so, and no state has changed. Files without a checksum load,
/// too.
Metadata load_checkpoint(const std::filesystem::path& path, const StateDict& state, Restore what);

}  // namespace tapestry
