// For tests: whether bf16 is multiplied by AMX.
#pragma once

#include <tapestry/ops/kernels/amx.hpp>

namespace tapestry {

/// Until its end.
class UseAmx {
 public:
  explicit UseAmx(kernels::Amx use) { kernels::use_amx(use); }
  ~UseAmx() { kernels::use_amx(before_); }
  UseAmx(const UseAmx&) = delete;
  UseAmx& operator=(const UseAmx&) = delete;

 private:
  kernels::Amx before_ = kernels::amx_use();
};

}  // namespace tapestry
