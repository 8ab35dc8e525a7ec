#pragma once

#include <sstream>
#include <string>

#include "plasticity/error.hpp"

namespace plasticity {

/// Anything printable, joined: `text("got ", 3, " of ", name)`.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws "`argument`: expected `expected`, got `got`", the one form of message that bad input gets.
[[noreturn]] inline void fail(ErrorCode code, const std::string& argument, const std::string& expected,
                              const std::string& got) {
  throw Error(code, argument + ": expected " + expected + ", got " + got);
}

/// As fail(), for an argument whose value is wrong.
[[noreturn]] inline void bad_argument(const std::string& argument, const std::string& expected,
                                      const std::string& got) {
  fail(ErrorCode::invalid_argument, argument, expected, got);
}

}  // namespace plasticity
