#pragma once

#include <cstdlib>
#include <string_view>

#include "base/throw_error.hpp"

namespace plasticity {

/// Returns whether PLASTICITY_CHECKS is on in the environment. Throws Error(invalid_argument) if it is
/// neither on nor off.
inline bool checks_requested() {
  const char* variable = std::getenv("PLASTICITY_CHECKS");
  const std::string_view value = variable == nullptr ? "" : variable;
  if (value == "on") return true;
  if (!value.empty() && value != "off")
    bad_argument("PLASTICITY_CHECKS", "on or off", str_cat('\'', value, '\''));
  return false;
}

}  // namespace plasticity
