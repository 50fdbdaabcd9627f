#pragma once

#include <tapestry/models/data/synthetic_cifar10.hpp>
#include <tapestry/tests/support/temporary_folder.hpp>

namespace tapestry::test {

/// Drawn stand-in images, once a test program: 200 to train on, 50 to validate, 20 to test.
inline const Cifar10Split& small_split() {
  static const Cifar10Split split = [] {
    const TemporaryFolder folder;
    write_synthetic_cifar10(folder.path(), 1, 50);
    return split_cifar10(detail::load_cifar10(folder.path(), 50), {200, 50, 20});
  }();
  return split;
}

}  // namespace tapestry::test
