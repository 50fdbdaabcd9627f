// For tests: our own kernels in place of oneDNN's.
#pragma once

#include <tapestry/ops/kernels/onednn.hpp>

namespace tapestry {

/// Until its end oneDNN is used as `use` says; where the build has none it changes nothing.
class UseOneDnn {
 public:
  explicit UseOneDnn(bool use) { kernels::use_onednn(use); }
  ~UseOneDnn() { kernels::use_onednn(before_); }
  UseOneDnn(const UseOneDnn&) = delete;
  UseOneDnn& operator=(const UseOneDnn&) = delete;

 private:
  bool before_ = kernels::onednn_in_use();
};

}  // namespace tapestry
