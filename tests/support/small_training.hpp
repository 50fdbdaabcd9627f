// For tests: a small net, short training, and all State compared.
#pragma once

#include <tapestry/models/fully_connected.hpp>
#include <tapestry/models/trainer.hpp>

#include <cstring>
#include <map>
#include <string>

#include <boost/test/unit_test.hpp>

namespace tapestry::test {

inline FullyConnectedNet small_net() {
  return FullyConnectedNet({.hidden = {20}, .normalization = Normalization::batch, .seed = 3});
}

inline TrainerOptions small_options(std::int64_t epochs = 3) {
  return {.epochs = epochs, .batch_size = 40, .lr_decay = 0.9, .train_samples = 100};
}

inline std::map<std::string, Tensor> values(const StateDict& state) {
  std::map<std::string, Tensor> all;
  for (const State& s : state) {
    Tensor copy(s.type().dtype, s.type().shape);
    std::memcpy(copy.mutable_data(), s.value().data(), copy.bytes());
    all.emplace(s.name(), copy);
  }
  return all;
}

inline void check_same(const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b) {
  BOOST_REQUIRE(a.size() == b.size());
  for (const auto& [name, value] : a) {
    BOOST_REQUIRE(b.contains(name));
    BOOST_TEST(std::memcmp(value.data(), b.at(name).data(), value.bytes()) == 0, name);
  }
}

}  // namespace tapestry::test
