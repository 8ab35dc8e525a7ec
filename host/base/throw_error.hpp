#pragma once

#include <string>

#include "base/str_cat.hpp"
#include "plasticity/error.hpp"

namespace plasticity {

/// Throws Error(code) with the message "`argument`: expected `expected`, got `got`".
[[noreturn]] inline void throw_error(ErrorCode code, const std::string& argument, const std::string& expected,
                                     const std::string& got) {
  throw Error(code, argument + ": expected " + expected + ", got " + got);
}

/// Throws Error(invalid_argument) with the message "`argument`: expected `expected`, got `got`".
[[noreturn]] inline void bad_argument(const std::string& argument, const std::string& expected,
                                      const std::string& got) {
  throw_error(ErrorCode::invalid_argument, argument, expected, got);
}

}  // namespace plasticity
