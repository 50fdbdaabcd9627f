// Settings in files of lines "name = value".
#pragma once

#include "config.hpp"

#include <istream>
#include <string>

namespace tapestry::app {

/// Adds what the file `path` says of `options`, and notes the lines. What it says of the settings of other
/// commands is checked and let go; so are a run's own defaults that the command line gave no use. Throws
/// UsageError.
void store_file(const std::string& path, const boost::program_options::options_description& options,
                Given& values);

/// Sets what the lines name; the rest stays as it is. Throws boost::program_options::error.
void store_lines(Config& config, std::istream& lines);

}  // namespace tapestry::app
