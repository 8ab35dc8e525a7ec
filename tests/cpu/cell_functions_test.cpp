// The vectorised exp, tanh and logistic function against the C++ library in higher precision.
#include "cpu/sweeps/cell_functions.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "cpu/sweeps/layout.hpp"

namespace plasticity::cpu {
namespace {

template <class Real>
class CellFunctionValues : public ::testing::Test {};
using Reals = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CellFunctionValues, Reals);

/// Numbers of all magnitudes up to `largest`, of both signs.
template <class Real>
std::vector<Real> arguments(Real largest) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> exponent(-30, std::log(static_cast<double>(largest)));
  std::vector<Real> values(1 << 16);
  for (Real& value : values) {
    value = static_cast<Real>((random() % 2 == 0 ? 1 : -1) * std::exp(exponent(random)));
  }
  return values;
}

/// The largest error in units of the last place. Values below the smallest normal number count as zero.
template <class Real>
double worst(const std::vector<Real>& got, const std::vector<Real>& at,
             const std::function<long double(long double)>& want) {
  double error = 0;
  for (std::size_t k = 0; k < at.size(); ++k) {
    const long double exact = want(at[k]);
    const Real near = static_cast<Real>(std::abs(exact));
    const Real unit = std::nextafter(near, std::numeric_limits<Real>::infinity()) - near;
    const long double tiny = 2 * static_cast<long double>(std::numeric_limits<Real>::min());
    if (std::abs(exact) < tiny && std::abs(got[k]) < tiny) continue;
    error = std::max(error, static_cast<double>(std::abs(got[k] - exact) / unit));
  }
  return error;
}

TYPED_TEST(CellFunctionValues, AreAccurateToAFewUnitsInTheLastPlace) {
  const CellFunctions<TypeParam>& table = cell_functions<TypeParam>(instruction_set());
  std::vector<TypeParam> at = arguments<TypeParam>(80), got(at.size());
  const auto count = static_cast<std::int64_t>(at.size());
  table.tanh(count, at.data(), got.data());
  EXPECT_LT(worst<TypeParam>(got, at, [](long double x) { return std::tanh(x); }), 3);
  table.logistic(count, at.data(), got.data());
  EXPECT_LT(worst<TypeParam>(got, at, [](long double x) { return 1 / (1 + std::exp(-x)); }), 3);
  for (TypeParam& x : at) x = -std::abs(x);
  table.exp_below(count, 0, at.data(), got.data());
  EXPECT_LT(worst<TypeParam>(got, at, [](long double x) { return std::exp(x); }), 2);
}

TYPED_TEST(CellFunctionValues, ReachTheirLimitsAndKeepNan) {
  const CellFunctions<TypeParam>& table = cell_functions<TypeParam>(instruction_set());
  using Limits = std::numeric_limits<TypeParam>;
  std::vector<TypeParam> at(row_lanes<TypeParam>), got(at.size());
  const std::vector<TypeParam> ends{Limits::infinity(),
                                    -Limits::infinity(),
                                    Limits::max(),
                                    -Limits::max(),
                                    0,
                                    Limits::quiet_NaN(),
                                    1000,
                                    -1000};
  std::copy(ends.begin(), ends.end(), at.begin());
  table.tanh(row_lanes<TypeParam>, at.data(), got.data());
  EXPECT_EQ(std::vector(got.begin(), got.begin() + 5), (std::vector<TypeParam>{1, -1, 1, -1, 0}));
  EXPECT_TRUE(std::isnan(got[5]));
  table.logistic(row_lanes<TypeParam>, at.data(), got.data());
  EXPECT_EQ(std::vector(got.begin(), got.begin() + 5),
            (std::vector<TypeParam>{1, 0, 1, 0, static_cast<TypeParam>(0.5)}));
  EXPECT_TRUE(std::isnan(got[5]));
  table.exp_below(row_lanes<TypeParam>, 1000, at.data(), got.data());
  EXPECT_EQ(got[1], 0);
  EXPECT_EQ(got[4], 0);
  EXPECT_TRUE(std::isnan(got[5]));
  EXPECT_EQ(got[6], 1);
}

}  // namespace
}  // namespace plasticity::cpu
