// Helpers of the executor's own tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "simt/schedules.hpp"

namespace simt {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

inline std::vector<float> random_values(std::size_t size, unsigned seed, float largest = 1) {
  std::mt19937 bits(seed);
  std::uniform_real_distribution<float> values(-largest, largest);
  std::vector<float> all(size);
  for (float& x : all) x = values(bits);
  return all;
}

inline bool close(double got, double expected, double tolerance) {
  return std::abs(got - expected) <= tolerance;
}

template <class Got, class Expected>
bool all_close(const std::vector<Got>& got, const std::vector<Expected>& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!close(float(got[i]), double(expected[i]), tolerance)) return false;
  return true;
}

inline void expect_good(const Outcome& outcome) { EXPECT_EQ(outcome.failures, 0) << outcome.first_failure; }

/// Instrumented code is slow: fewer schedules then.
#if defined(__SANITIZE_THREAD__)
constexpr int many = 2;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int many = 4;
#else
constexpr int many = 10;
#endif

}  // namespace simt
