// What this machine can do at best, measured in a fraction of a second: what profiles and benchmarks compare
// with.
#pragma once

#include <cstddef>

namespace tapestry::kernels {

struct MachineLimits {
  int threads = 0;              // that it was measured with
  double flops_per_second = 0;  // of f32 matrix products: all threads multiply, each by itself
  double bytes_per_second = 0;  // of a[i] = s * a[i] + t * b[i] over large arrays: two reads, one write

  /// The time that so much work takes at least if computing and moving don't overlap.
  double seconds(double flops, double bytes) const {
    return flops / flops_per_second + bytes / bytes_per_second;
  }
};

struct CalibrationOptions {
  double seconds = 0.12;                      // spent on each of the two, setting up not counted
  std::size_t bytes = std::size_t{64} << 20;  // read and written by a pass: more than caches hold
};

/// Measures with the threads of parallel_for and takes the best of several passes, so that other work on the
/// machine disturbs little. Throws if there is less than 1 kB to move.
MachineLimits measure_machine(const CalibrationOptions& options = {});

}  // namespace tapestry::kernels
