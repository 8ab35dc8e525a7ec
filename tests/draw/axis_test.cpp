#include "tool/draw/axis.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

namespace plasticity::draw {
namespace {

using Labels = std::vector<std::string>;

/// Expects ticks that are multiples of 1, 2 or 5 times a power of ten.
void expect_round(const std::vector<double>& ticks) {
  for (std::size_t i = 1; i < ticks.size(); ++i) {
    const double step = ticks[i] - ticks[i - 1];
    const double digit = step / std::pow(10, std::floor(std::log10(step * (1 + 1e-6))));
    EXPECT_TRUE(std::abs(digit - 1) < 1e-4 || std::abs(digit - 2) < 1e-4 || std::abs(digit - 5) < 1e-4)
        << step;
    EXPECT_NEAR(ticks[i] / step, std::round(ticks[i] / step), 1e-4) << ticks[i];
  }
}

TEST(LinearTicks, AreRoundAndInside) {
  EXPECT_EQ(linear_ticks(0, 1, 4), (std::vector<double>{0, 0.2, 0.4, 0.6, 0.8, 1}));
  EXPECT_EQ(linear_ticks(-1.1, 1.1, 4), (std::vector<double>{-1, -0.5, 0, 0.5, 1}));
  EXPECT_EQ(linear_ticks(0.05, 0.35, 3), (std::vector<double>{0.1, 0.2, 0.3}));
  std::mt19937 generator(1);
  std::uniform_real_distribution<double> exponent(-20, 20), place(-3, 3);
  for (int i = 0; i < 2000; ++i) {
    const double range = std::pow(10, exponent(generator)), low = place(generator) * range,
                 high = low + range;
    for (const int wanted : {2, 5, 10}) {
      const std::vector<double> ticks = linear_ticks(low, high, wanted);
      ASSERT_GE(static_cast<int>(ticks.size()), wanted / 2) << low << " " << high;
      ASSERT_LE(static_cast<int>(ticks.size()), wanted * 5 / 4 + 1) << low << " " << high;
      EXPECT_GE(ticks.front(), low);
      EXPECT_LE(ticks.back(), high);
      expect_round(ticks);
    }
  }
}

TEST(LogTicks, ArePowersOfTenOnLongRanges) {
  EXPECT_EQ(log_ticks(0.003, 1.2, 8), (std::vector<double>{0.01, 0.1, 1}));
  EXPECT_EQ(log_ticks(1, 1e12, 5), (std::vector<double>{1, 1e3, 1e6, 1e9, 1e12}));
  EXPECT_EQ(log_ticks(0.9, 11, 5), (std::vector<double>{1, 2, 5, 10}));
  EXPECT_EQ(log_ticks(0.03, 1.2, 8), (std::vector<double>{0.05, 0.1, 0.2, 0.5, 1}));
  EXPECT_EQ(log_ticks(0.03, 1.2, 2), (std::vector<double>{0.1, 1}));
  std::mt19937 generator(2);
  std::uniform_real_distribution<double> exponent(-20, 20), decades(0.01, 12);
  for (int i = 0; i < 2000; ++i) {
    const double low = std::pow(10, exponent(generator)), high = low * std::pow(10, decades(generator));
    for (const int wanted : {2, 5, 8}) {
      const std::vector<double> ticks = log_ticks(low, high, wanted);
      ASSERT_GE(ticks.size(), 1u) << low << " " << high;
      ASSERT_LE(ticks.size(), 12u) << low << " " << high;
      EXPECT_GE(ticks.front(), low);
      EXPECT_LE(ticks.back(), high);
      EXPECT_TRUE(std::is_sorted(ticks.begin(), ticks.end()));
    }
  }
}

TEST(TickLabels, HaveOneFormat) {
  EXPECT_EQ(tick_labels({0, 0.5, 1}), (Labels{"0", "0.5", "1.0"}));
  EXPECT_EQ(tick_labels({-10, 0, 10}), (Labels{"-10", "0", "10"}));
  EXPECT_EQ(tick_labels({0, 1000, 2000}), (Labels{"0", "1000", "2000"}));
  EXPECT_EQ(tick_labels({0, 10000, 20000}), (Labels{"0", "10k", "20k"}));
  EXPECT_EQ(tick_labels({0, 5e5, 1e6, 1.5e6}), (Labels{"0", "0.5M", "1.0M", "1.5M"}));
  EXPECT_EQ(tick_labels({1000000, 1000002, 1000004}), (Labels{"1000000", "1000002", "1000004"}));
  EXPECT_EQ(tick_labels({0.01, 0.1, 1, 10}), (Labels{"0.01", "0.1", "1", "10"}));
  EXPECT_EQ(tick_labels({10, 100, 1000, 10000}), (Labels{"10", "100", "1k", "10k"}));
  EXPECT_EQ(tick_labels({1e-6, 1e-4, 1e-2, 1}), (Labels{"1e-6", "1e-4", "1e-2", "1e0"}));
  EXPECT_EQ(tick_labels({-2e-5, 0, 2e-5}), (Labels{"-2e-5", "0", "2e-5"}));
  EXPECT_EQ(tick_labels({1e149, 2e149}), (Labels{"1e149", "2e149"}));
  EXPECT_EQ(tick_labels({}), Labels{});
}

/// Expects an axis that covers the drawable values, with ticks inside and distinct labels.
void expect_sound(const std::vector<double>& values, bool log) {
  const Axis axis(values, log, 0.04, 5);
  EXPECT_TRUE(std::isfinite(axis.low()) && std::isfinite(axis.high()));
  ASSERT_LT(axis.low(), axis.high());
  ASSERT_EQ(axis.labels().size(), axis.ticks().size());
  EXPECT_GE(axis.ticks().size(), 1u);
  EXPECT_EQ(std::set<std::string>(axis.labels().begin(), axis.labels().end()).size(), axis.labels().size());
  for (const double tick : axis.ticks())
    EXPECT_TRUE(axis.position(tick) >= -1e-9 && axis.position(tick) <= 1 + 1e-9);
  for (const double tick : axis.minor_ticks())
    EXPECT_TRUE(axis.position(tick) >= 0 && axis.position(tick) <= 1);
  for (const double value : values) {
    if (!drawable(value, log)) continue;
    EXPECT_TRUE(axis.position(value) >= 0 && axis.position(value) <= 1) << value;
  }
}

TEST(Axis, CoversAnyValues) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const double tiny = std::numeric_limits<double>::denorm_min(), max = std::numeric_limits<double>::max();
  const std::vector<std::vector<double>> all{
      {},         {0},          {3},           {-3},    {1e150, -1e150}, {max, -max, 1}, {tiny, 2 * tiny},
      {tiny},     {nan, 1, 2},  {infinity, 1}, {-1, 1}, {0, 1e-150},     {1, 1 + 1e-15}, {1e6, 1e6 + 1e-3},
      {1, 1e150}, {1e-150, 1},  {7e4, 7.1e4},  {5, 5},  {1e-149},        {1e150},        {-1e150},
      {nan},      {0.999, 1.0}, {1e-5, 2e-5},  {99, 1}, {1e9, 1e11},     {0, 1e-3},      {1, 1 + 1e-8}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const bool log : {false, true}) {
      SCOPED_TRACE(testing::Message() << "values " << i << (log ? " log" : " linear"));
      expect_sound(all[i], log);
    }
  }
}

TEST(Axis, BeginsAtZeroIfValuesAreClose) {
  EXPECT_EQ(Axis({0.02, 1}, false, 0.04, 5).low(), 0);
  EXPECT_LT(Axis({-0.02, 1}, false, 0.04, 5).low(), -0.02);
  EXPECT_GT(Axis({0.8, 1}, false, 0.04, 5).low(), 0.7);
  EXPECT_EQ(Axis({1, 100}, false, 0, 5).low(), 1);
}

TEST(Axis, LogarithmicPosition) {
  const Axis axis({1, 10000}, true, 0, 8);
  EXPECT_NEAR(axis.position(100), 0.5, 1e-12);
  EXPECT_EQ(axis.labels(), (Labels{"1", "10", "100", "1k", "10k"}));
  EXPECT_EQ(axis.minor_ticks().size(), 4 * 8u);
}

}  // namespace
}  // namespace plasticity::draw
