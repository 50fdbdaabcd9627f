#include "commands.hpp"
#include "config.hpp"

#include <iostream>
#include <new>

namespace tapestry::app {
namespace {

struct Command {
  std::string_view name;
  int (*run)(std::span<const std::string>);
  std::string_view summary;
};

constexpr Command kCommands[] = {
    {"train", train, "train a network on CIFAR-10; writes a run folder"},
    {"compare", compare, "train the notebook's six-layer net by five update rules; one report"},
    {"evaluate", evaluate, "accuracy and confusion matrix of a run"},
    {"predict", predict, "classes of PNG, JPEG or PPM images by a run's best parameters"},
    {"gradcheck", gradcheck, "compare a model's derived gradients with central differences"},
    {"describe", describe, "parameters, work and memory of a training step, without training"},
};

void print_help(std::ostream& out) {
  out << "Usage: cifar_train COMMAND [OPTIONS]\n\n";
  for (const Command& command : kCommands) {
    out << "  " << command.name << std::string(12 - command.name.size(), ' ') << command.summary << '\n';
  }
  out << "\ncifar_train COMMAND --help tells the options of a command.\n";
}

int dispatch(std::span<const std::string> arguments) {
  if (arguments.empty()) {
    print_help(std::cerr);
    return kUsage;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    print_help(std::cout);
    return kDone;
  }
  for (const Command& command : kCommands) {
    if (command.name == arguments[0]) return command.run(arguments.subspan(1));
  }
  throw UsageError(text("there is no command '", arguments[0], "'; see cifar_train --help"));
}

}  // namespace

int run(std::span<const std::string> arguments) {
  try {
    const int code = dispatch(arguments);
    std::cout.flush();
    if (!std::cout) throw IoError("can't write to standard output");
    return code;
  } catch (const UsageError& mistake) {
    std::cerr << "cifar_train: " << mistake.what() << '\n';
    return kUsage;
  } catch (const std::bad_alloc&) {
    std::cerr << "cifar_train: not enough memory\n";
    return kFailed;
  } catch (const std::exception& failure) {
    std::cerr << "cifar_train: " << failure.what() << '\n';
    return kFailed;
  }
}

}  // namespace tapestry::app
