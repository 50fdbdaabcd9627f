// The Tapestry side of bench/versus_pytorch.sh. `versus --list` names the cases, `versus
// --synthetic FOLDER` writes images in place of CIFAR-10's. Otherwise it reads lines
//
//   run CASE THREADS SECONDS SAMPLES
//   drop CASE
//   machine THREADS SECONDS
//
// and answers each with one line of JSON: {"ms": the median of the samples, "samples": their number}. What a
// case needs is made at its first run and kept until it is dropped. `machine` gives what `cifar_train
// --profile` compares with.
#include "cases.hpp"

#include <tapestry/core/error.hpp>
#include <tapestry/core/run/parallel.hpp>
#include <tapestry/models/data/synthetic_cifar10.hpp>
#include <tapestry/ops/kernels/machine_limits.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <map>
#include <sstream>

namespace versus {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_of(const Run& run, int times) {
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < times; ++i) run();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The median time of one run: up to three runs to warm up, then samples of at least 0.2 ms, at least `least`
/// of them.
std::string measure(const Run& run, double budget, std::size_t least) {
  double once = seconds_of(run, 1);
  for (std::size_t i = 1; i < std::min<std::size_t>(least, 3); ++i) once = std::min(once, seconds_of(run, 1));
  const int times = std::max(1, int(std::ceil(2e-4 / std::max(once, 1e-9))));
  std::vector<double> samples;
  for (double spent = 0; spent < budget || samples.size() < least;) {
    const double taken = seconds_of(run, times);
    spent += taken;
    samples.push_back(taken / times);
  }
  const auto middle = samples.begin() + std::ptrdiff_t(samples.size() / 2);
  std::ranges::nth_element(samples, middle);
  std::ostringstream out;
  out.precision(9);
  out << "{\"ms\": " << *middle * 1e3 << ", \"samples\": " << samples.size() << '}';
  return out.str();
}

std::map<std::string, std::function<Run()>> all_cases() {
  std::map<std::string, std::function<Run()>> all;
  for (const auto& cases : {step_cases(), convnet_cases(), op_cases(), machine_cases()}) {
    for (const Case& each : cases) all.emplace(each.name, each.prepare);
  }
  return all;
}

std::string answer(const std::string& line, const std::map<std::string, std::function<Run()>>& cases,
                   std::map<std::string, Run>& prepared) {
  std::istringstream words(line);
  std::string command, name;
  words >> command;
  int threads = 0;
  double seconds = 0;
  if (command == "machine") {
    words >> threads >> seconds;
    tapestry::set_thread_count(threads);
    const auto limits =
        tapestry::kernels::measure_machine({.seconds = seconds, .bytes = std::size_t{192} << 20});
    return tapestry::text("{\"flops\": ", limits.flops_per_second, ", \"bytes\": ", limits.bytes_per_second,
                          '}');
  }
  words >> name;
  tapestry::require(cases.contains(name), "there is no case '", name, "'");
  if (command == "drop") {
    prepared.erase(name);
    return "{}";
  }
  std::size_t samples = 0;
  words >> threads >> seconds >> samples;
  tapestry::require(command == "run" && words && samples > 0, "'", line,
                    "' is neither 'run CASE THREADS SECONDS SAMPLES' nor 'drop CASE'");
  tapestry::set_thread_count(threads);
  if (!prepared.contains(name)) prepared[name] = cases.at(name)();
  return measure(prepared[name], seconds, samples);
}

}  // namespace
}  // namespace versus

int main(int argc, char** argv) {
  const auto cases = versus::all_cases();
  if (argc == 2 && std::string(argv[1]) == "--list") {
    for (const auto& [name, prepare] : cases) std::cout << name << '\n';
    return 0;
  }
  if (argc == 3 && std::string(argv[1]) == "--synthetic") {
    tapestry::write_synthetic_cifar10(argv[2], 0);
    return 0;
  }
  std::map<std::string, versus::Run> prepared;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << versus::answer(line, cases, prepared) << std::endl;
    } catch (const std::exception& e) {
      std::cerr << "versus: " << e.what() << '\n';
      return 1;
    }
  }
}
