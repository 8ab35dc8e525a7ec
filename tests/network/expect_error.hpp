#pragma once

#include <gtest/gtest.h>

#include <string>

#include "plasticity/error.hpp"

namespace plasticity::testing {

/// Expects an Error with this code and this part of its message.
template <class Call>
void expect_error(Call call, ErrorCode code, const std::string& part) {
  try {
    call();
    ADD_FAILURE() << "no error; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
  }
}

}  // namespace plasticity::testing
