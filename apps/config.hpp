// What a run is made of. Each setting has one name, which is its option on the command line, its key in a
// config file and its line in the run folder's config.ini.
#pragma once

#include <tapestry/core/error.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>

namespace tapestry::app {

/// A mistake in how the program was called: exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

template <class... Parts>
void demand(bool condition, const Parts&... parts) {
  if (!condition) throw UsageError(text(parts...));
}

struct Config {
  std::string model = "fully_connected";
  std::string hidden = "500,500,500";
  std::int64_t width = 0;
  std::int64_t filter_size = 7;
  std::string normalization = "batch";
  double keep = 1;
  double reg = 0;
  double weight_scale = 1e-2;
  std::string pixels = "mean-image";

  std::string optimizer = "adam";
  double learning_rate = 1e-3;
  double momentum = 0.9;
  double decay = 0.99;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double clip_norm = 0;
  std::string schedule = "exponential";
  double lr_decay = 0.9;
  std::int64_t decay_every = 3;
  std::int64_t warm_up = 0;
  std::int64_t lookahead = 0;
  double ema = 0;
  bool check_gradients = false;

  std::int64_t epochs = 10;
  std::int64_t batch_size = 100;
  std::int64_t num_train = 49'000;
  std::int64_t train_samples = 1000;
  std::string augment = "none";
  std::string freeze = "none";
  std::string tta = "none";
  std::uint64_t seed = 0;
  std::string precision = "f32";
  int threads = 0;
  std::int64_t checkpoint_every = 0;
  std::string data;
};

/// The options that set `config`; their defaults are what it holds.
boost::program_options::options_description model_options(Config& config);
boost::program_options::options_description training_options(Config& config);
boost::program_options::options_description data_options(Config& config);

/// What was given: on the command line, or in a file.
struct Given : boost::program_options::variables_map {
  std::string file{};
  std::map<std::string, std::size_t> lines{};  // of settings that come from there
};

/// Parses `arguments` by `options`, with --help and --config FILE added; options win over the file, the file
/// over defaults. Throws UsageError naming what is wrong. False if help was asked for and has been printed.
bool parse(std::span<const std::string> arguments, const boost::program_options::options_description& options,
           const std::string& usage, Given& values, const std::vector<std::string>& positional = {});

/// A setting as in a config file.
struct Setting {
  std::string name, value;
};
/// Sets those that `values` has only by default; of two with one name the first.
void fill_in(Config& config, const boost::program_options::variables_map& values,
             std::span<const Setting> settings);
/// Fills in what hangs on other settings: how the model is trained, adamw's weight decay.
void complete(Config& config, const boost::program_options::variables_map& values);

/// Throws UsageError for a setting that was given and that model, optimizer or schedule have no use for.
void refuse_unused(const Config& config, const Given& values);

/// "name = value" for every setting, whoever has a use for it.
std::vector<Setting> all_settings(const Config& config);

/// A value as config.ini has it: doubles as people write them, 0.9, not 0.90000000000000002.
std::string shown(double value);

/// "name = value" for each setting that the run has a use for, as config.ini has them.
std::vector<std::pair<std::string, std::string>> settings(const Config& config);
/// That of one setting.
std::string setting(const Config& config, std::string_view name);
void write_config(const std::filesystem::path& path, const Config& config);
/// Reads what write_config wrote. Throws IoError.
Config read_config(const std::filesystem::path& path);

}  // namespace tapestry::app
