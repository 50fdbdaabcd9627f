// A file's whole content, written and read.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tapestry::test {

void write_file(const std::filesystem::path& path, std::string_view content);
/// Empty if there is no such file.
std::string file_content(const std::filesystem::path& path);

}  // namespace tapestry::test
