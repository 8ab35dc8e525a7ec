#include "tool/draw/canvas.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "draw/pixels.hpp"
#include "plasticity/error.hpp"
#include "support/errors.hpp"

namespace plasticity::draw {
namespace {

constexpr Colour red{255, 0, 0}, black{0, 0, 0};

void expect_invalid(const std::function<void()>& call, const std::string& message) {
  testing::expect_error(call, ErrorCode::invalid_argument, message);
}

TEST(Canvas, ImageHasScalePixelsPerPoint) {
  for (const int scale : {1, 2, 3}) {
    Canvas canvas(30, 20, scale);
    canvas.fill({10, 5, 4, 3}, red);
    const io::Image image = canvas.image();
    EXPECT_EQ(image.width, 30 * scale);
    EXPECT_EQ(image.height, 20 * scale);
    EXPECT_EQ(image.channels, 3);
    ASSERT_EQ(image.pixels.size(), static_cast<std::size_t>(30 * 20 * scale * scale * 3));
    const Region box{10 * scale, 5 * scale, 14 * scale, 8 * scale};
    EXPECT_EQ(count(image, box, [](Colour c) { return c == red; }), 4 * 3 * scale * scale);
    EXPECT_EQ(count(image, inked), 4 * 3 * scale * scale);
  }
}

TEST(Canvas, RefusesSizes) {
  expect_invalid([] { Canvas(0, 1); }, "width: expected 1 to 16384 pixels, got 0 points");
  expect_invalid([] { Canvas(1, 16384, 2); }, "height: expected 1 to 16384 pixels, got 16384 points");
  expect_invalid([] { Canvas(1, 1, 0); }, "width: expected 1 to 16384 pixels, got 1 points of 0 pixels");
}

TEST(Canvas, OpacityMixes) {
  Canvas canvas(2, 1, 1);
  canvas.fill({0, 0, 1, 1}, black, 0.5);
  EXPECT_NEAR(pixel(canvas.image(), 0, 0).r, 128, 1);
  EXPECT_EQ(pixel(canvas.image(), 1, 0), white);
}

TEST(Canvas, OutlineStaysInsideItsBox) {
  Canvas canvas(20, 20, 1);
  canvas.outline({4, 5, 10, 8}, red, 2);
  const io::Image image = canvas.image();
  EXPECT_EQ(count(image, inked), 10 * 8 - 6 * 4);
  EXPECT_EQ(count(image, {4, 5, 14, 13}, inked), 10 * 8 - 6 * 4);
  EXPECT_EQ(count(image, {6, 7, 12, 11}, inked), 0);
}

TEST(Canvas, LineUsesInkInProportionToItsThickness) {
  for (const double thickness : {0.5, 1.0, 2.0, 5.0}) {
    Canvas canvas(200, 200, 1);
    canvas.line(std::vector<Point>{{30, 40}, {170, 145}}, black, thickness);  // 175 long
    double used = 0;
    for (const std::uint8_t value : canvas.image().pixels) used += (255 - value) / 255.0 / 3;
    const double caps = 3.14159 / 4 * thickness * thickness;
    EXPECT_NEAR(used, 175 * thickness + caps, 0.03 * 175 * thickness + 1) << thickness;
  }
}

TEST(Canvas, DashedLineHasGaps) {
  Canvas whole(90, 10, 1), dashed(90, 10, 1);
  const std::vector<Point> line{{0, 5}, {90, 5}};
  whole.line(line, black, 2);
  dashed.line(line, black, 2, true);
  EXPECT_NEAR(count(dashed.image(), inked), count(whole.image(), inked) * 5 / 9, 4);
  whole.line(line, black, 2);  // the next line is not dashed
  EXPECT_EQ(count(whole.image(), inked), 180);
}

TEST(Text, IsAsWideAsMeasured) {
  for (const bool bold : {false, true}) {
    for (const char* line : {"Hl", "completes pictures", "|x| = 0.25 %M"}) {
      Canvas canvas(300, 60);
      const TextStyle style{.size = 16, .colour = red, .bold = bold};
      const double width = canvas.text_width(line, style);
      canvas.text({20, 40}, line, style);
      const io::Image image = canvas.image();
      const auto right = static_cast<std::int64_t>(40 + 2 * width);
      EXPECT_GT(count(image, {38, 0, 48, 120}, inked), 0) << line;
      EXPECT_GT(count(image, {right - 10, 0, right + 2, 120}, inked), 0) << line;
      EXPECT_EQ(count(image, {0, 0, 38, 120}, inked) + count(image, {right + 2, 0, 600, 120}, inked), 0)
          << line;
      EXPECT_EQ(count(image, {0, 0, 600, 80 - 2 * 16}, inked), 0) << "above the line";
      EXPECT_EQ(count(image, {0, 80 + 16, 600, 120}, inked), 0) << "below the line";
    }
  }
  EXPECT_EQ(Canvas(9, 9).text_width(""), 0);
}

TEST(Text, AnchorsMoveIt) {
  Canvas left(100, 20), centre(100, 20), right(100, 20);
  const double width = left.text_width("anchor");
  left.text({50 - width / 2, 14}, "anchor");
  centre.text({50, 14}, "anchor", {.anchor = Anchor::centre});
  right.text({50 + width / 2, 14}, "anchor", {.anchor = Anchor::right});
  EXPECT_GT(count(left.image(), inked), 100);
  EXPECT_TRUE(left.image().pixels == centre.image().pixels);
  EXPECT_TRUE(left.image().pixels == right.image().pixels);
}

TEST(Text, CapitalsHaveTheirMiddleAtY) {
  Canvas canvas(60, 40, 1);
  canvas.text_in_middle({10, 20}, "III", {.size = 20, .colour = black});
  const io::Image image = canvas.image();
  double ink_used = 0, moment = 0;
  for (std::int64_t y = 0; y < image.height; ++y)
    for (std::int64_t x = 0; x < image.width; ++x) {
      ink_used += 255 - pixel(image, x, y).r;
      moment += (255 - pixel(image, x, y).r) * (static_cast<double>(y) + 0.5);
    }
  EXPECT_NEAR(moment / ink_used, 20, 1);
}

TEST(Text, ThatIsNotUtf8IsRefused) {
  Canvas canvas(60, 40);
  canvas.text({10, 20}, "caf\xc3\xa9");
  expect_invalid([&] { canvas.text({10, 20}, "caf\xe9 "); }, "text: expected UTF-8, got caf? ");
}

TEST(Picture, EachValueIsASquareOfItsGrey) {
  Canvas canvas(12, 10, 1);
  const float nan = std::nanf(""), infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values{-1, 0, 1, 2, nan, -infinity};
  canvas.picture({1, 2, 9, 6}, values, 2, 3);
  const Colour expected[2][3] = {{black, {128, 128, 128}, white}, {white, alarm, black}};
  const io::Image image = canvas.image();
  for (std::int64_t y = 0; y < 6; ++y)
    for (std::int64_t x = 0; x < 9; ++x)
      EXPECT_EQ(pixel(image, 1 + x, 2 + y), expected[y / 3][x / 3]) << x << ' ' << y;
  EXPECT_EQ(count(image, {1, 2, 10, 8}, inked), count(image, inked));
}

TEST(Picture, UnseenPixelsAreHatched) {
  const std::vector<std::uint8_t> unseen{0, 1, 0, 1};
  const std::vector<float> some{1, -1, 1, std::nanf("")}, other{1, 0.3f, 1, 1};
  Canvas a(40, 40), b(40, 40);
  a.picture({0, 0, 40, 40}, some, 2, 2, unseen);
  b.picture({0, 0, 40, 40}, other, 2, 2, unseen);
  const io::Image image = a.image();
  EXPECT_TRUE(image.pixels == b.image().pixels);
  EXPECT_EQ(count(image, {0, 0, 40, 80}, inked), 0);
  const auto is = [](Colour colour) { return [colour](Colour c) { return c == colour; }; };
  EXPECT_GT(count(image, {40, 0, 80, 80}, is(hidden)), 40 * 80 / 4);
  EXPECT_GT(count(image, {40, 0, 80, 80}, is(hidden_stripe)), 40 * 80 / 20);
  EXPECT_EQ(count(image, {40, 0, 80, 80}, [](Colour c) { return c.r < hidden_stripe.r || c.r > hidden.r; }),
            0);
}

TEST(Picture, RefusesSizes) {
  Canvas canvas(4, 4);
  const std::vector<float> values(6);
  const std::vector<std::uint8_t> unseen(5);
  const Box box{0, 0, 4, 4};
  expect_invalid([&] { canvas.picture(box, values, 2, 2); }, "values: expected 4 values, got 6");
  expect_invalid([&] { canvas.picture(box, {}, 0, 3); }, "rows: expected 1 to 16384, got 0");
  expect_invalid([&] { canvas.picture(box, {}, 3, 0); }, "columns: expected 1 to 16384, got 0");
  expect_invalid([&] { canvas.picture(box, values, 2, 3, unseen); },
                 "unseen: expected 6 values, or none, got 5");
}

}  // namespace
}  // namespace plasticity::draw
