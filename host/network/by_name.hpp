#pragma once

#include <string>
#include <string_view>

#include "base/throw_error.hpp"

namespace plasticity {

/// Returns the element of `list` whose name is `name`. Throws Error(invalid_argument) if there is none; the
/// message lists the existing names.
template <class List>
auto& by_name(List& list, std::string_view name) {
  for (auto& element : list) {
    if (element.name == name) return element;
  }
  std::string names;
  for (auto& element : list) names += str_cat(names.empty() ? "" : ", ", element.name);
  bad_argument("name", str_cat("one of ", names), str_cat('\'', name, '\''));
}

}  // namespace plasticity
