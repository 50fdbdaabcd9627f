// For tests: which convolutions go by Winograd's minimal filtering.
#pragma once

#include <tapestry/ops/kernels/winograd.hpp>

namespace tapestry {

/// Until its end.
class UseWinograd {
 public:
  explicit UseWinograd(kernels::Winograd use) { kernels::use_winograd(use); }
  ~UseWinograd() { kernels::use_winograd(before_); }
  UseWinograd(const UseWinograd&) = delete;
  UseWinograd& operator=(const UseWinograd&) = delete;

 private:
  kernels::Winograd before_ = kernels::winograd_use();
};

}  // namespace tapestry
