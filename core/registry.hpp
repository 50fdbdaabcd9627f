// The vocabulary: every op there is, by name.
#pragma once

#include <tapestry/core/op.hpp>

#include <string_view>
#include <unordered_map>
#include <vector>

namespace tapestry {

class Registry {
 public:
  /// `op` must outlive the registry; throws if the name is taken or the definition is incomplete.
  void add(const Op& op);
  const Op* find(std::string_view name) const;
  /// Throws if there is no such op.
  const Op& at(std::string_view name) const;
  /// In order of registration.
  const std::vector<const Op*>& all() const { return ops_; }

 private:
  std::vector<const Op*> ops_;
  std::unordered_map<std::string_view, const Op*> by_name_;
};

/// The process's vocabulary, with Tapestry's own ops in it. Add your own before recording with them.
Registry& registry();

/// Defined in ops/register.cpp, called once by registry(): explicit, so that no linker can drop an op from an
/// archive, and the only thing of ops/ that core refers to.
void register_ops(Registry& registry);

}  // namespace tapestry
