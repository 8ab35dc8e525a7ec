#include "tool/draw/chart.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "draw/pixels.hpp"
#include "plasticity/error.hpp"
#include "support/errors.hpp"

namespace plasticity::draw {
namespace {

constexpr Colour red{255, 0, 0};
constexpr double infinity = std::numeric_limits<double>::infinity(),
                 nan = std::numeric_limits<double>::quiet_NaN();

bool same(const io::Image& a, const io::Image& b) { return a.pixels == b.pixels; }

/// At least half under a red curve.
bool reddish(Colour c) { return c.r > c.g + 120; }

/// Under a red band of a chart, but not under its curve.
bool pink(Colour c) { return c.r > 200 && c.r > c.g + 20 && c.g > 150 && c.g == c.b; }

ChartOptions small(ChartOptions options = {}) {
  options.width = 400;
  options.height = 300;
  options.scale = 1;
  return options;
}

Curve curve(std::vector<double> x, std::vector<double> y) {
  return {.name = "", .x = std::move(x), .y = std::move(y), .colour = red};
}

io::Image chart(const Curve& one, const ChartOptions& options = {}) {
  return line_chart({&one, 1}, small(options));
}

TEST(Chart, DrawsACurveInsideMargins) {
  const io::Image image = chart(curve({0, 1, 2}, {0, 1, 0}));
  EXPECT_GT(count(image, reddish), 600);
  for (const Region border : {Region{0, 0, 400, 10}, {0, 0, 10, 300}, {0, 290, 400, 300}})
    EXPECT_EQ(count(image, border, inked), 0);
  // The top of the curve is in the middle third, its feet at both sides at the bottom.
  const Region middle{140, 10, 290, 40}, left{20, 200, 80, 290}, right{340, 200, 400, 290};
  for (const Region& part : {middle, left, right}) EXPECT_GT(count(image, part, reddish), 20);
  EXPECT_EQ(count(image, {20, 10, 120, 100}, reddish), 0);
}

TEST(Chart, HasTitleLabelsAndNames) {
  const auto with = [](const ChartOptions& options, const std::string& name) {
    const Curve curve{.name = name, .x = {0, 1}, .y = {0, 1}, .colour = red};
    return line_chart({&curve, 1}, small(options));
  };
  const io::Image all = with({.title = "TITLE", .x_label = "XLABEL", .y_label = "YLABEL"}, "NAME");
  EXPECT_GT(count(all, {20, 20, 100, 40}, inked), 100) << "title";
  EXPECT_GT(count(all, {20, 42, 100, 58}, inked), 60) << "y label";
  EXPECT_GT(count(all, {100, 268, 300, 284}, inked), 60) << "x label";
  EXPECT_GT(count(all, {340, 60, 400, 100}, [](Colour c) { return c.r > c.g + 60; }), 40)
      << "name at the end";
}

TEST(Chart, DrawsNoPointsOnePointAndConstants) {
  EXPECT_EQ(count(chart(curve({}, {})), reddish), 0);
  EXPECT_EQ(count(line_chart({}, small()), reddish), 0);
  EXPECT_GT(count(line_chart({}, small()), {100, 100, 300, 200}, [](Colour c) { return c.r < 180; }), 20)
      << "no data";
  for (const double y : {0.0, 1e-12, 5.0, -1e9}) {
    const int dot = count(chart(curve({3}, {y})), reddish);
    EXPECT_TRUE(dot >= 15 && dot <= 40) << dot;
    EXPECT_GT(count(chart(curve({0, 1}, {y, y})), reddish), 600);
  }
}

TEST(Chart, PointsThatAreNotDrawableAreGaps) {
  for (const double bad : {nan, infinity, -infinity, 1e200}) {
    // At the ends they have no effect.
    EXPECT_TRUE(same(chart(curve({0, 1}, {1, 2})), chart(curve({-1, 0, 1, bad}, {bad, 1, 2, 1}))));
    const int whole = count(chart(curve({0, 1, 2, 3}, {1, 1, 1, 1})), reddish);
    const int gap = count(chart(curve({0, 1, 1.5, 2, 3}, {1, 1, bad, 1, 1})), reddish);
    EXPECT_NEAR(gap, whole * 2 / 3, 45);
    EXPECT_EQ(count(chart(curve({0, bad}, {bad, 0})), reddish), 0);
  }
}

TEST(Chart, LogarithmicAxesLeaveOutValuesThatAreNotPositive) {
  ChartOptions options{.log_y = true};
  EXPECT_TRUE(
      same(chart(curve({0, 1}, {1, 0.01}), options), chart(curve({0, 1, 2, 3}, {1, 0.01, 0, -1}), options)));
  EXPECT_EQ(count(chart(curve({0, 1}, {0, -3}), options), reddish), 0);
  options.log_x = true;
  EXPECT_TRUE(same(chart(curve({1, 10}, {1, 0.01}), options),
                   chart(curve({-1, 0, 1, 10}, {1, 1, 1, 0.01}), options)));
}

TEST(Chart, AxisCoversTheReference) {
  const Curve one = curve({0, 1}, {1, 2});
  const auto dark = [](Colour c) { return c.r < 160; };
  const io::Image with = chart(one, {.reference = Reference{10, "chance"}});
  EXPECT_GT(count(with, {60, 10, 300, 60}, dark), 100);
  EXPECT_EQ(count(with, {60, 10, 300, 200}, reddish), 0) << "the curve is below";
  EXPECT_TRUE(same(chart(one, {.reference = Reference{nan, "chance"}}), chart(one)));
}

TEST(Chart, FillsABandFromLowToHigh) {
  Curve banded = curve({0, 1, 2}, {1, 1, 1});
  const auto area = [&](std::vector<double> low, std::vector<double> high) {
    banded.low = std::move(low);
    banded.high = std::move(high);
    return count(chart(banded), pink);
  };
  const int full = area({0, 0, 0}, {2, 2, 2});
  EXPECT_GT(full, 400 * 300 / 3);
  const int smaller = area({0.5, 0.5, 0}, {1.5, 1.5, 2});  // the axis is from 0 to 2 as before
  EXPECT_NEAR(smaller, full * 5 / 8, full / 20);
  EXPECT_NEAR(area({0, 0, nan}, {2, 2, 2}), full / 2, full / 20);
  EXPECT_LT(area({nan, 0, 0}, {2, 2, nan}), full / 50) << "edges of the curve only";
}

TEST(Chart, LongTextStaysInside) {
  std::vector<Curve> curves;
  for (int i = 0; i < 40; ++i)
    curves.push_back(
        {.name = "a curve with quite a long name " + std::to_string(i), .x = {0, 1e5}, .y = {0, i * 1e-3}});
  ChartOptions options{.title = std::string(300, 'W'),
                       .x_label = std::string(300, 'x'),
                       .y_label = std::string(300, 'y'),
                       .reference = Reference{1, "reference"}};
  for (const auto& [width, height] : {std::pair{500, 300}, {200, 200}, {90, 70}, {64, 64}}) {
    options.width = width;
    options.height = height;
    const io::Image image = line_chart(curves, options);
    EXPECT_EQ(image.width, 2 * width);
    for (const Region border : {Region{0, 0, image.width, 20},
                                {0, 0, 20, image.height},
                                {image.width - 8, 0, image.width, image.height}})
      EXPECT_EQ(count(image, border, inked), 0) << width << " x " << height;
  }
  EXPECT_EQ(count(line_chart(curves, options), inked), 0) << "no room for a plot";
}

TEST(Chart, RefusesWrongArguments) {
  Curve wrong{.name = "a", .x = {1, 2, 3}, .y = {1, 2, 3}, .low = {0, 1, 2}, .high = {2, 3, 4}};
  const auto refused = [&](const std::string& message, const ChartOptions& options = {}) {
    testing::expect_error(
        [&] {
          (void)line_chart({&wrong, 1}, options);
        },
        ErrorCode::invalid_argument, message);
  };
  wrong.y.pop_back();
  refused("curve 'a' y: expected 3 values, one per x, got 2");
  wrong.y.push_back(3);
  wrong.low.pop_back();
  refused("curve 'a' low: expected 3 values");
  wrong.low.clear();
  refused("curve 'a' low: expected 3 values");
  wrong.high.clear();
  refused("options.width: expected 64 to 16384 pixels, got 10 points of 2 pixels", {.width = 10});
  refused("options.height: expected 64 to 16384 pixels, got 20000 points of 2 pixels", {.height = 20000});
  refused("options.width: expected 64 to 16384 pixels, got 800 points of 0 pixels", {.scale = 0});
  refused("text: expected UTF-8, got ?", {.title = "\xff"});
}

}  // namespace
}  // namespace plasticity::draw
