#include "config.hpp"

#include "chosen.hpp"
#include "config_file.hpp"
#include "entries.hpp"

#include <tapestry/models/report/format.hpp>

#include <iostream>
#include <optional>
#include <set>
#include <sstream>

#include <boost/program_options.hpp>

namespace po = boost::program_options;

namespace tapestry::app {
namespace {

template <class T>
po::typed_value<T>* with_default(T& target) {
  return po::value<T>(&target)->default_value(target);
}

po::typed_value<double>* with_default(double& target) {
  return po::value<double>(&target)->default_value(target, shown(target));
}

/// A switch, which a config file can turn off again.
po::typed_value<bool>* with_default(bool& target) {
  return po::value<bool>(&target)->default_value(target, target ? "yes" : "no")->implicit_value(true, "yes");
}

std::string model_help() {
  std::string help;
  for (const ModelEntry& entry : models()) help += text(entry.name, ": ", entry.what, "\n");
  return help + "Defaults of other options hang on the model: describe and config.ini tell them";
}

/// Help for a setting that not all models, optimizers or schedules take.
std::string particular(std::string_view name, std::string_view what) {
  return text(what, " (", for_models(name), ')');
}
std::string of_optimizer(std::string_view name, std::string_view what) {
  return text(what, " (", for_optimizers(name), ')');
}
std::string of_schedule(std::string_view name, std::string_view what) {
  return text(what, " (", for_schedules(name), ')');
}

/// "--momentum says nothing to --optimizer adam, which takes --beta1, --beta2", or the same of a file's line.
template <class Entry>
[[noreturn]] void refuse(const Given& given, const std::string& name, std::string_view chooser,
                         std::span<const Entry> entries, const Entry& entry) {
  std::string instead;
  for (const std::string& other : entry.takes) instead += (instead.empty() ? "--" : ", --") + other;
  const auto line = given.lines.find(name);
  const std::string what =
      line == given.lines.end() ? "--" + name : text(given.file, ", line ", line->second, ": ", name);
  throw UsageError(
      text(what, " says nothing to ", chooser, ' ', entry.name,
           instead.empty() ? "; it is " + for_those(entries, name) : ", which takes " + instead));
}

}  // namespace

std::vector<Setting> all_settings(const Config& c) {
  // The options say what there is, so that no list can fall behind.
  Config copy = c;
  std::vector<Setting> lines;
  for (const auto& group : {model_options(copy), training_options(copy), data_options(copy)}) {
    po::variables_map values;
    po::store(po::command_line_parser(std::vector<std::string>{}).options(group).run(), values);
    for (const auto& option : group.options()) {
      const boost::any& value = values[option->long_name()].value();
      std::string line;
      if (const auto* s = boost::any_cast<std::string>(&value)) line = *s;
      if (const auto* d = boost::any_cast<double>(&value)) line = shown(*d);
      if (const auto* i = boost::any_cast<std::int64_t>(&value)) line = std::to_string(*i);
      if (const auto* u = boost::any_cast<std::uint64_t>(&value)) line = std::to_string(*u);
      if (const auto* n = boost::any_cast<int>(&value)) line = std::to_string(*n);
      if (const auto* b = boost::any_cast<bool>(&value)) line = *b ? "yes" : "no";
      lines.push_back({option->long_name(), line});
    }
  }
  return lines;
}

std::string shown(double value) {
  std::string out;
  append_shortest(out, value);
  return out;
}

po::options_description model_options(Config& c) {
  po::options_description options("Model");
  options.add_options()                                       //
      ("model", with_default(c.model), model_help().c_str())  //
      ("hidden", with_default(c.hidden),
       particular("hidden", "units of the hidden layers, separated by commas; empty for none").c_str())  //
      ("width", with_default(c.width),
       particular("width", "filters, channels or features that a model begins with; 0 for its own number")
           .c_str())  //
      ("filter-size", with_default(c.filter_size),
       particular("filter-size", "rows and columns of a filter").c_str())  //
      ("normalization", with_default(c.normalization),
       particular("normalization", "none, batch or layer").c_str())  //
      ("keep", with_default(c.keep),
       particular("keep", "dropout: probability of keeping a hidden value; 1 for no dropout").c_str())  //
      ("reg", with_default(c.reg),
       particular("reg", "L2 penalty: reg/2 times the sum of squared weights").c_str())  //
      ("weight-scale", with_default(c.weight_scale),
       particular("weight-scale", "standard deviation of the first weights").c_str())  //
      ("pixels", with_default(c.pixels),
       "what a byte becomes: mean-image for 0 to 255 minus the mean training image, channels for 0 to 1 "
       "normalised with CIFAR-10's mean and deviation of each channel")  //
      ("precision", with_default(c.precision),
       "f32, f64, or bf16: matrix products in bf16, all else in f32")  //
      ("seed", with_default(c.seed), "of weights, order of images and dropout");
  return options;
}

po::options_description training_options(Config& c) {
  po::options_description options("Training");
  options.add_options()  //
      ("optimizer", with_default(c.optimizer),
       text(names_of(optimizers()),
            "; muon takes orthogonal steps for matrices and filters, adam's for biases, scales and the last "
            "matrix")
           .c_str())                                                         //
      ("learning-rate", with_default(c.learning_rate), "of the first step")  //
      ("momentum", with_default(c.momentum),
       of_optimizer("momentum", "decay of past gradients; muon's default is 0.95").c_str())           //
      ("decay", with_default(c.decay), of_optimizer("decay", "of the average of squares").c_str())    //
      ("beta1", with_default(c.beta1), of_optimizer("beta1", "of the average of gradients").c_str())  //
      ("beta2", with_default(c.beta2), of_optimizer("beta2", "of the average of squares").c_str())    //
      ("epsilon", with_default(c.epsilon),
       of_optimizer("epsilon", "added to the root of that average; lamb's default is 1e-6").c_str())  //
      ("weight-decay", with_default(c.weight_decay),
       of_optimizer("weight-decay",
                    "added to the gradient; decoupled for adamw and muon, a part of its step for lamb; "
                    "adamw's and lamb's default is 0.01")
           .c_str())                                                                                    //
      ("clip-norm", with_default(c.clip_norm), "largest global norm of the gradients; 0 for no limit")  //
      ("schedule", with_default(c.schedule),
       text(names_of(schedules()), ": how the learning rate falls").c_str())  //
      ("lr-decay", with_default(c.lr_decay),
       of_schedule("lr-decay", "factor of the learning rate; exponential takes it each epoch").c_str())  //
      ("decay-every", with_default(c.decay_every),
       of_schedule("decay-every", "epochs from one factor to the next").c_str())  //
      ("warm-up", with_default(c.warm_up),
       "steps over which the learning rate rises; linear falls from there")  //
      ("lookahead", with_default(c.lookahead)->implicit_value(5, "5"),
       "slow weights follow the optimizer's half of the way every so many steps; 0 for none")  //
      ("ema", with_default(c.ema),
       "decay of an average of the weights, as 0.99, which accuracies and the best checkpoint are of; 0 for "
       "none")  //
      ("check-gradients", with_default(c.check_gradients),
       "refuse a step whose gradients overflow; --clip-norm always does")                 //
      ("epochs", with_default(c.epochs), "passes over the training images")               //
      ("batch-size", with_default(c.batch_size), "images a step")                         //
      ("num-train", with_default(c.num_train), "training images to use, the first ones")  //
      ("train-samples", with_default(c.train_samples),
       "training images looked at for the training accuracy")  //
      ("augment", with_default(c.augment),
       "none, or some of: flip (mirrored at random), alternating (mirrored every other epoch), translate=N "
       "(moved by up to N pixels, edges reflected), crop=N (the same, edges 0), cutout=N (a square of N "
       "pixels 0); as in alternating,translate=2,cutout=8")  //
      ("tta", with_default(c.tta),
       "what the final test sees of an image: none (it alone), mirror (its mirror image, too), translate "
       "(both, and both moved by a pixel either way); scores are averaged")  //
      ("freeze", with_default(c.freeze),
       "none, or PATTERN=EPOCHS, several separated by commas: parameters that are trained in the first "
       "epochs "
       "only, as in whiten/bias=3; * stands for any text")  //
      ("checkpoint-every", with_default(c.checkpoint_every), "steps between checkpoints; 0: each epoch");
  return options;
}

po::options_description data_options(Config& c) {
  po::options_description options("Data and machine");
  options.add_options()  //
      ("data", with_default(c.data),
       "CIFAR-10: a folder or archive in the binary layout, or 'synthetic' for drawn stand-in images; "
       "default: "
       "$CIFAR10_DIR, then data/cifar-10-binary.tar.gz")  //
      ("threads", with_default(c.threads), "threads to use; 0: all that this process may");
  return options;
}

bool parse(std::span<const std::string> arguments, const po::options_description& options,
           const std::string& usage, Given& values, const std::vector<std::string>& positional) {
  po::options_description all;
  all.add(options);
  all.add_options()("config", po::value<std::string>(), "a file of lines 'option = value'")("help,h",
                                                                                            "this text");
  po::positional_options_description places;
  for (std::size_t i = 0; i < positional.size(); ++i) {
    places.add(positional[i].c_str(), i + 1 == positional.size() ? -1 : 1);
  }
  try {
    const std::vector<std::string> words(arguments.begin(), arguments.end());
    using Style = po::command_line_style::style_t;
    const int style = Style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing);
    po::store(po::command_line_parser(words).options(all).positional(places).style(style).run(), values);
    if (values.contains("help")) {
      std::cout << "Usage: cifar_train " << usage << "\n\n" << all;
      return false;
    }
    if (values.contains("config")) {
      store_file(values["config"].as<std::string>(), options, values);
    }
    po::notify(values);
  } catch (const po::error& mistake) {
    throw UsageError(mistake.what());
  }
  return true;
}

void fill_in(Config& config, const po::variables_map& values, std::span<const Setting> settings) {
  std::stringstream lines;
  std::set<std::string> seen;
  for (const auto& [name, value] : settings) {
    if (values.contains(name) && values[name].defaulted() && seen.insert(name).second)
      lines << name << " = " << value << '\n';
  }
  store_lines(config, lines);
}

void complete(Config& config, const po::variables_map& values) {
  const Chosen chosen = Chosen::by([&](const std::string& name) {
    return values[name].defaulted() ? std::nullopt : std::optional(values[name].as<std::string>());
  });
  fill_in(config, values, chosen.defaults());
}

void refuse_unused(const Config& config, const Given& values) {
  const Chosen chosen = Chosen::by(config);
  for (const auto& [name, value] : values) {
    if (value.defaulted()) continue;
    if (!takes(chosen.model, name)) refuse(values, name, "--model", models(), chosen.model);
    if (!takes(chosen.optimizer, name)) refuse(values, name, "--optimizer", optimizers(), chosen.optimizer);
    if (!takes(chosen.schedule, name)) refuse(values, name, "--schedule", schedules(), chosen.schedule);
  }
}

std::vector<std::pair<std::string, std::string>> settings(const Config& c) {
  const Chosen chosen = Chosen::by(c);
  std::vector<std::pair<std::string, std::string>> lines;
  for (auto& [name, value] : all_settings(c)) {
    if (chosen.take(name)) lines.emplace_back(std::move(name), std::move(value));
  }
  return lines;
}

std::string setting(const Config& config, std::string_view name) {
  for (const auto& [key, value] : settings(config)) {
    if (key == name) return value;
  }
  fail("there is no setting '", name, "'");
}

}  // namespace tapestry::app
