#include <tapestry/core/error.hpp>
#include <tapestry/tests/support/files.hpp>

#include <fstream>
#include <sstream>

namespace tapestry::test {

void write_file(const std::filesystem::path& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), std::streamsize(content.size()));
  out.close();
  require(out.good(), "can't write ", path.string());
}

std::string file_content(const std::filesystem::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return std::move(out).str();
}

}  // namespace tapestry::test
