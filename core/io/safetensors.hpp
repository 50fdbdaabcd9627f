// The safetensors format, as published by Hugging Face (github.com/huggingface/safetensors): 8 bytes of
// header length, a JSON header, then the elements of all tensors back to back, little-endian and row-major.
#pragma once

#include <tapestry/core/tensor.hpp>

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tapestry {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

struct SafetensorsFile {
  std::vector<NamedTensor> tensors;  // in the header's order, which is the order they were saved in
  std::map<std::string, std::string> metadata;

  /// Nothing if no tensor has that name.
  const Tensor* find(std::string_view name) const;
};

/// Reads and checks everything: a file that is cut short, damaged or foreign throws an IoError that names the
/// file and what is wrong where; it never leads to a wild read or a huge allocation.
SafetensorsFile load_safetensors(const std::filesystem::path& path);

/// Replaces the file atomically. Loading it gives the same bits in the same order. Names must be unique
/// UTF-8.
void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace tapestry
