// What lists of models and optimizers have in common: entries with a name and with the settings that they
// take, of those that some have no use for.
#pragma once

#include "config.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace tapestry::app {

/// "sgd, momentum"
template <class Entry>
std::string names_of(std::span<const Entry> entries) {
  std::string names;
  for (const Entry& entry : entries) names += text(names.empty() ? "" : ", ", entry.name);
  return names;
}

/// Null if there is none of that name.
template <class Entry>
const Entry* find_entry(std::span<const Entry> entries, std::string_view name) {
  const auto found = std::ranges::find(entries, name, &Entry::name);
  return found == entries.end() ? nullptr : &*found;
}

/// Throws UsageError, naming those that there are, if there is none of that name.
template <class Entry>
const Entry& entry_named(std::span<const Entry> entries, std::string_view option, std::string_view name) {
  if (const Entry* entry = find_entry(entries, name)) return *entry;
  throw UsageError(text(option, " is one of ", names_of(entries), ", not '", name, "'"));
}

/// Settings that no entry names mean something to all.
template <class Entry>
bool takes(std::span<const Entry> entries, const Entry& one, std::string_view setting) {
  const auto among = [&](const Entry& entry) { return std::ranges::count(entry.takes, setting) > 0; };
  return among(one) || std::ranges::none_of(entries, among);
}

/// "for sgd, momentum": those that take it.
template <class Entry>
std::string for_those(std::span<const Entry> entries, std::string_view setting) {
  std::string names;
  for (const Entry& entry : entries) {
    if (takes(entries, entry, setting)) names += (names.empty() ? "for " : ", ") + entry.name;
  }
  return names;
}

}  // namespace tapestry::app
