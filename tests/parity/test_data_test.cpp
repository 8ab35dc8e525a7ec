// The folder of the test data, and exceptions on the threads of a test.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

#include "support/on_threads.hpp"
#include "support/test_data.hpp"

namespace plasticity::testing {
namespace {

TEST(TestData, IsInTheFolderOfTheEnvironment) {
  ASSERT_EQ(setenv("PLASTICITY_TEST_DATA", "/elsewhere", 1), 0);
  EXPECT_EQ(test_data(), "/elsewhere");
  EXPECT_TRUE(parity_cases().empty());
  ASSERT_EQ(unsetenv("PLASTICITY_TEST_DATA"), 0);
  EXPECT_FALSE(parity_cases().empty());
}

TEST(OnThreads, AnExceptionIsAFailureOfTheTest) {
  static int ran = 0;
  EXPECT_NONFATAL_FAILURE(on_threads({[] { throw std::runtime_error("a broken kernel"); }, [] { ++ran; }}),
                          "thread 0: a broken kernel");
  EXPECT_NONFATAL_FAILURE(on_threads({[] { throw 7; }}), "no std::exception");
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace plasticity::testing
