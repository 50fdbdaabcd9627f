// What bench/versus_pytorch.sh times of Tapestry. torch_worker.py has a case of the same name wherever
// PyTorch can do the same; rows.py says what each case needs of the machine and how it is shown.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace versus {

/// Does the work once.
using Run = std::function<void()>;

struct Case {
  std::string name;
  /// Makes everything that the work needs; not timed.
  std::function<Run()> prepare;
};

/// Training steps, data loading included, and compiling them.
std::vector<Case> step_cases();
/// Training steps of convolutional nets, and their convolutions alone.
std::vector<Case> convnet_cases();
/// One op forward or backward, an Adam update, many tiny ops.
std::vector<Case> op_cases();
/// What the machine can do: matrix products and memory.
std::vector<Case> machine_cases();

}  // namespace versus
