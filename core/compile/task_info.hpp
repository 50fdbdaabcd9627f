// What a task is called and how much work it is: for profiles, traces and listings.
#pragma once

#include <tapestry/core/compile/schedule.hpp>

#include <string>
#include <vector>

namespace tapestry {

struct Plan;

struct TaskInfo {
  std::string op;      // "matmul"; "loop" of several nodes
  std::string label;   // the parts of the model that it belongs to: "fc1/linear", "norm1/batchnorm + relu"
  std::string shapes;  // "[100, 3072] [3072, 500] -> [100, 500]"; of a loop what it iterates over
  double flops = 0;    // additions, multiplications and function calls
  double bytes = 0;    // read and written; a value that is read twice or broadcast counts once
  /// Those of them that move whatever is kept in caches: State, arguments, constants and outputs.
  double outside_bytes = 0;
  bool is_loop = false;
  bool writes_state = false;
};

/// Of each task of a plan of `graph`, in order.
std::vector<TaskInfo> task_infos(const Graph& graph, const Plan& plan);

/// Additions, multiplications and function calls of one run of a task.
double task_flops(const Graph& graph, const Task& task);
/// The scopes of its nodes, those of their ops that are in none: "norm1/batchnorm + relu".
std::string task_label(const Graph& graph, const Task& task);

}  // namespace tapestry
