#include "config_file.hpp"

#include "chosen.hpp"

#include <tapestry/core/io/atomic_file.hpp>

#include <algorithm>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;

namespace tapestry::app {
namespace {

/// Where in the file a setting stands.
using Where = std::function<std::string(const std::string& setting)>;

/// Throws UsageError for a model, an optimizer or a schedule that there isn't.
void check_names(const po::parsed_options& lines, const Where& where) {
  for (const po::option& line : lines.options) {
    const std::string& name = line.string_key;
    try {
      if (name == "model") model_entry(line.value.at(0));
      if (name == "optimizer") optimizer_entry(line.value.at(0));
      if (name == "schedule") schedule_entry(line.value.at(0));
    } catch (const UsageError& mistake) {
      throw UsageError(text(where(name), ": ", mistake.what()));
    }
  }
}

/// A run's config.ini names defaults, and used to name all settings: what the run has no use for says nothing
/// there, as long as it is a default of the file's own model or optimizer, which the command line may have
/// changed.
void drop_unused_defaults(po::parsed_options& lines, const po::variables_map& values) {
  const auto in_file = [&](const std::string& name) {
    std::optional<std::string> value;
    for (const auto& line : lines.options) {
      if (line.string_key == name) value = line.value.at(0);
    }
    return value;
  };
  const Chosen of_run = Chosen::by([&](const std::string& name) {
    const bool given = values.contains(name) && !values[name].defaulted();
    return given ? std::optional(values[name].as<std::string>()) : in_file(name);
  });
  std::vector<Setting> defaults = Chosen::by(in_file).defaults();
  for (Setting& setting : all_settings(Config())) defaults.push_back(std::move(setting));
  std::erase_if(lines.options, [&](const po::option& line) {
    return !of_run.take(line.string_key) && std::ranges::any_of(defaults, [&](const Setting& s) {
      return s.name == line.string_key && s.value == line.value.at(0);
    });
  });
}

/// By name: the number of the line that sets it.
std::map<std::string, std::size_t> line_numbers(std::istream& file) {
  std::map<std::string, std::size_t> lines;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('=')));
    std::string name;
    if (words >> name) lines.emplace(name, number);
  }
  return lines;
}

}  // namespace

void store_file(const std::string& path, const po::options_description& options, Given& values) {
  std::ifstream opened(path);
  if (!opened || std::filesystem::is_directory(path))
    throw UsageError(text("can't read the config file ", path));
  std::stringstream file;  // a pipe can be read only once
  file << opened.rdbuf();
  Config unused;
  po::options_description all;
  all.add(options);
  for (const auto& group : {model_options(unused), training_options(unused), data_options(unused)}) {
    for (const auto& option : group.options()) {
      if (!options.find_nothrow(option->long_name(), false)) all.add(option);
    }
  }
  try {
    po::parsed_options lines = po::parse_config_file(file, all);
    file.clear();
    file.seekg(0);
    const std::map<std::string, std::size_t> numbers = line_numbers(file);
    const Where where = [&](const std::string& name) {
      const auto number = numbers.find(name);
      return number == numbers.end() ? path : text(path, ", line ", number->second);
    };
    if (values.contains("model")) {
      check_names(lines, where);
      drop_unused_defaults(lines, values);
    }
    // What is stored in `values` is written to its option's variable later, when `unused` is no more.
    po::variables_map checked;
    po::store(lines, checked);
    std::erase_if(lines.options,
                  [&](const po::option& line) { return !options.find_nothrow(line.string_key, false); });
    values.file = path;
    for (const po::option& line : lines.options) {
      const auto number = numbers.find(line.string_key);
      const bool counts = !values.contains(line.string_key) || values[line.string_key].defaulted();
      if (counts && number != numbers.end()) values.lines.insert(*number);
    }
    lines.description = &options;
    po::store(lines, values);
  } catch (const po::error& mistake) {
    throw UsageError(text(path, ": ", mistake.what()));
  }
}

void store_lines(Config& config, std::istream& lines) {
  po::options_description all;
  all.add(model_options(config)).add(training_options(config)).add(data_options(config));
  po::variables_map values;
  po::store(po::parse_config_file(lines, all), values);
  po::notify(values);
}

void write_config(const std::filesystem::path& path, const Config& config) {
  std::string out =
      "# The settings of this run: cifar_train train --config " + path.filename().string() + "\n";
  for (const auto& [name, value] : settings(config)) out += name + " = " + value + "\n";
  write_file_atomically(path, out);
}

Config read_config(const std::filesystem::path& path) {
  Config config;
  std::ifstream file(path);
  if (!file) throw IoError(text("can't read ", path.string(), ": is this a run folder?"));
  try {
    store_lines(config, file);
  } catch (const po::error& mistake) {
    throw IoError(text(path.string(), ": ", mistake.what()));
  }
  return config;
}

}  // namespace tapestry::app
