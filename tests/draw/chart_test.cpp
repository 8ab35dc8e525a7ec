#include "tool/draw/chart.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "plasticity/error.hpp"
#include "plasticity/io/chart.hpp"
#include "tool/draw/labels.hpp"

namespace plasticity::draw {
namespace {

using Points = std::vector<std::pair<double, double>>;
constexpr Colour red{255, 0, 0};
constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");

bool same(const Canvas& a, const Canvas& b) { return a.image().pixels == b.image().pixels; }

int count(const Canvas& canvas, Colour colour) {
  int n = 0;
  for (int y = 0; y < canvas.height(); ++y)
    for (int x = 0; x < canvas.width(); ++x) n += canvas.at(x, y) == colour ? 1 : 0;
  return n;
}

/// Pixels of which at least about half is under a red curve.
int red_pixels(const Canvas& canvas) {
  int n = 0;
  for (int y = 0; y < canvas.height(); ++y)
    for (int x = 0; x < canvas.width(); ++x) n += canvas.at(x, y).r > canvas.at(x, y).g + 120 ? 1 : 0;
  return n;
}

Canvas chart(const Points& points, const ChartOptions& options = {}) {
  const std::vector<Series> series{{"", red, points}};
  return line_chart(400, 300, series, options);
}

TEST(Chart, DrawsACurve) {
  const Canvas canvas = chart({{0, 0}, {1, 1}, {2, 0}});
  EXPECT_GT(red_pixels(canvas), 300);
  for (int x = 0; x < canvas.width(); ++x) EXPECT_EQ(canvas.at(x, 0), white);
}

TEST(Chart, NoPointsOnePointConstant) {
  EXPECT_EQ(red_pixels(chart({})), 0);
  EXPECT_EQ(red_pixels(line_chart(400, 300, {}, {})), 0);
  for (const double y : {0.0, 1e-12, 5.0, -1e9}) {
    const int dot = red_pixels(chart({{3, y}}));
    EXPECT_TRUE(dot >= 4 && dot <= 24) << dot;
    EXPECT_GT(red_pixels(chart({{0, y}, {1, y}})), 300);
  }
}

TEST(Chart, PointsThatCannotBeShownAreGaps) {
  for (const double bad : {nan, infinity, -infinity, 1e200}) {
    // At the ends they are as if they were not there.
    EXPECT_TRUE(same(chart({{0, 1}, {1, 2}}), chart({{-1, bad}, {0, 1}, {1, 2}, {bad, 1}})));
    const int whole = red_pixels(chart({{0, 1}, {1, 1}, {2, 1}, {3, 1}}));
    const int gap = red_pixels(chart({{0, 1}, {1, 1}, {1.5, bad}, {2, 1}, {3, 1}}));
    EXPECT_NEAR(gap, whole * 2 / 3, 4);
    EXPECT_EQ(red_pixels(chart({{0, bad}, {bad, 0}})), 0);
  }
}

TEST(Chart, LogarithmicAxesLeaveOutWhatIsNotPositive) {
  ChartOptions options;
  options.log_y = true;
  EXPECT_TRUE(
      same(chart({{0, 1}, {1, 0.01}}, options), chart({{0, 1}, {1, 0.01}, {2, 0}, {3, -1}}, options)));
  EXPECT_EQ(red_pixels(chart({{0, 0}, {1, -3}}, options)), 0);
  options.log_x = true;
  EXPECT_TRUE(
      same(chart({{1, 1}, {10, 0.01}}, options), chart({{-1, 1}, {0, 1}, {1, 1}, {10, 0.01}}, options)));
}

TEST(Chart, ReferenceLineIsInRange) {
  ChartOptions options;
  options.reference = Reference{10, "chance"};
  const Canvas with = chart({{0, 1}, {1, 2}}, options);
  EXPECT_FALSE(same(with, chart({{0, 1}, {1, 2}})));
  EXPECT_GT(count(with, muted), count(chart({{0, 1}, {1, 2}}), muted) + 100);
  options.reference->y = nan;
  EXPECT_TRUE(same(chart({{0, 1}, {1, 2}}, options), chart({{0, 1}, {1, 2}})));
}

TEST(Chart, StaysInItsBox) {
  std::vector<Series> series;
  for (int i = 0; i < 40; ++i)
    series.push_back(
        {"a series with quite a long name " + std::to_string(i), red, {{0, 0}, {1e5, i * 1e-3}}});
  ChartOptions options{.title = std::string(300, 'W'),
                       .x_label = std::string(300, 'x'),
                       .y_label = std::string(300, 'y'),
                       .reference = Reference{1, "reference"}};
  for (const int scale : {1, 2}) {
    options.scale = scale;
    for (const auto& [width, height] :
         {std::pair{500, 300}, {200, 200}, {90, 70}, {20, 20}, {1, 1}, {0, 0}}) {
      Canvas canvas(600, 400);
      const Box box{50, 50, width, height};
      line_chart(canvas, box, series, options);
      for (int y = 0; y < canvas.height(); ++y) {
        for (int x = 0; x < canvas.width(); ++x) {
          const bool in = x >= box.x && x < box.x + width && y >= box.y && y < box.y + height;
          ASSERT_TRUE(in || canvas.at(x, y) == white) << x << " " << y << " of " << width << " x " << height;
        }
      }
    }
  }
}

TEST(Chart, ArgumentsAreChecked) {
  Canvas canvas(100, 100);
  ChartOptions options;
  for (const Box box : {Box{-1, 0, 10, 10}, {0, 0, 101, 10}, {50, 50, 10, 51}, {0, 0, 10, -1}})
    EXPECT_THROW(line_chart(canvas, box, {}, options), Error);
  for (const int scale : {0, 9}) {
    options.scale = scale;
    EXPECT_THROW(line_chart(canvas, {0, 0, 100, 100}, {}, options), Error);
  }
}

TEST(Spread, KeepsOrderDistanceAndRange) {
  EXPECT_EQ(spread({10, 50}, 12, 0, 100), (std::vector<double>{10, 50}));
  EXPECT_EQ(spread({50, 50}, 12, 0, 100), (std::vector<double>{44, 56}));
  EXPECT_EQ(spread({0, 0, 0}, 12, 0, 100), (std::vector<double>{0, 12, 24}));
  EXPECT_EQ(spread({100, 100, 100}, 12, 0, 100), (std::vector<double>{76, 88, 100}));
  EXPECT_EQ(spread({}, 12, 0, 100), std::vector<double>{});
  unsigned state = 1;
  for (int i = 0; i < 500; ++i) {
    std::vector<double> wanted;
    for (int k = 0; k < 9; ++k) wanted.push_back((state = state * 1664525u + 1013904223u) >> 25);
    std::sort(wanted.begin(), wanted.end());
    const std::vector<double> places = spread(wanted, 12, 0, 100);
    ASSERT_EQ(places.size(), wanted.size());
    EXPECT_GE(places.front(), -1e-9);
    EXPECT_LE(places.back(), 100 + 1e-9);
    for (std::size_t k = 1; k < places.size(); ++k) EXPECT_GE(places[k] - places[k - 1], 12 - 1e-9);
  }
}

TEST(Shortened, FitsItsWidth) {
  EXPECT_EQ(shortened("fits", 100, 1), "fits");
  EXPECT_EQ(shortened("does not", 0, 1), "");
  const std::string text = "d\xc3\xa9j\xc3\xa0 vu, a picture seen a moment ago";
  for (int width = 0; width < 250; ++width) {
    const std::string cut = shortened(text, width, 1);
    EXPECT_LE(Canvas::text_width(cut, 1), width);
    EXPECT_TRUE(cut.empty() || cut == text || cut.ends_with("..."));
    EXPECT_EQ(cut.find("\xc3."), std::string::npos);
  }
}

/// Pixels of a light red: the band, not the curve.
int pink_pixels(const Canvas& canvas) {
  int n = 0;
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = 0; x < canvas.width(); ++x) {
      const Colour at = canvas.at(x, y);
      n += at.r > 230 && at.g == at.b && at.g > 180 && at.g < at.r - 20 ? 1 : 0;
    }
  }
  return n;
}

TEST(Chart, ABandIsFilledFromLowToHigh) {
  Series series{"", red, {{0, 1}, {1, 1}, {2, 1}}, {{0, 2}, {0, 2}, {0, 2}}};
  const auto drawn = [&] { return line_chart(400, 300, std::vector{series}, {}); };
  const int full = pink_pixels(drawn());
  EXPECT_GT(full, 400 * 300 / 3);
  series.band = {{0.5, 1.5}, {0.5, 1.5}, {0, 2}};  // the axis still goes from 0 to 2
  const int smaller = pink_pixels(drawn());
  EXPECT_GT(smaller, full / 3);
  EXPECT_LT(smaller, full * 3 / 4);
  series.band = {{nan, 2}, {0, 2}, {0, nan}};  // gaps
  EXPECT_EQ(pink_pixels(drawn()), 0);
  series.band = {{0, 2}};  // one point has no width
  EXPECT_EQ(pink_pixels(drawn()), 0);
}

TEST(WriteChart, RefusesCurvesOfDifferentLengths) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "plasticity_write_chart_test.png";
  std::filesystem::remove(file);
  io::Curve curve{"a", {1, 2, 3}, {1, 2, 3}, {0, 1, 2}, {2, 3, 4}};
  const auto refused = [&](const std::string& what, const io::ChartOptions& options = {}) {
    try {
      io::write_chart(file, {&curve, 1}, options);
      ADD_FAILURE() << "not refused: " << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_TRUE(std::string(error.what()).starts_with(what)) << error.what();
    }
    EXPECT_FALSE(std::filesystem::exists(file));
  };
  curve.y.pop_back();
  refused("curve 'a' y: expected 3 values, one for each x, got 2");
  curve.y.push_back(3);
  curve.low.pop_back();
  refused("curve 'a' low: ");
  curve.low.clear();
  refused("curve 'a' low: ");
  curve.high.clear();
  refused("options.width: expected 64 to 16384 pixels, got 10", {.width = 10});
  refused("options.height: expected 64 to 16384 pixels, got 20000", {.height = 20000});
  io::write_chart(file, {&curve, 1}, {.title = "t", .reference = 2, .reference_label = "chance"});
  EXPECT_GT(std::filesystem::file_size(file), 1000u);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace plasticity::draw
