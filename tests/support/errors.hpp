#pragma once

#include <gtest/gtest.h>

#include <concepts>
#include <string>

#include "plasticity/error.hpp"

// The errors that calls of the library throw.
namespace plasticity::testing {

/// Returns the Error that `call` throws. The test fails if it throws none. Any other exception ends the test.
template <std::invocable Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorCode::invalid_argument, "no error");
}

/// Returns the message of the Error that `call` throws, or "no error".
template <std::invocable Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Expects this code and this part of the message.
inline void expect_error(const Error& error, ErrorCode code, const std::string& part) {
  EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
  EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
}

/// Expects `call` to throw an Error with this code and this part of the message.
template <std::invocable Call>
void expect_error(Call&& call, ErrorCode code, const std::string& part) {
  expect_error(error_of(call), code, part);
}

/// Expects `call` to throw an Error with this code and this message.
template <std::invocable Call>
void expect_exact_error(Call&& call, ErrorCode code, const std::string& message) {
  const Error error = error_of(call);
  EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
  EXPECT_EQ(error.what(), message);
}

}  // namespace plasticity::testing
