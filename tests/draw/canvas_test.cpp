#include "tool/draw/canvas.hpp"

#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <limits>
#include <set>

#include "plasticity/error.hpp"
#include "tool/draw/font.hpp"

namespace plasticity::draw {
namespace {

constexpr Colour red{255, 0, 0}, blue{0, 0, 255};
constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");

bool same(const Canvas& a, const Canvas& b) { return a.image().pixels == b.image().pixels; }

/// How many pixels differ from the background, in a box or outside it.
int drawn(const Canvas& canvas, Box box, bool in) {
  int count = 0;
  for (int y = 0; y < canvas.height(); ++y) {
    for (int x = 0; x < canvas.width(); ++x) {
      const bool inside = x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height;
      count += inside == in && canvas.at(x, y) != white ? 1 : 0;
    }
  }
  return count;
}

int drawn(const Canvas& canvas) { return drawn(canvas, {0, 0, canvas.width(), canvas.height()}, true); }

TEST(Canvas, ImageHasThreeChannelsRowByRow) {
  Canvas canvas(3, 2);
  canvas.fill_rectangle({1, 0, 1, 1}, {1, 2, 3});
  const io::Image image = canvas.image();
  EXPECT_EQ(image.width, 3);
  EXPECT_EQ(image.height, 2);
  EXPECT_EQ(image.channels, 3);
  ASSERT_EQ(image.pixels.size(), 18u);
  EXPECT_EQ(image.pixels[3], 1);
  EXPECT_EQ(image.pixels[5], 3);
  EXPECT_EQ(image.pixels[6], 255);
}

TEST(Canvas, SizesAreChecked) {
  EXPECT_THROW(Canvas(0, 1), Error);
  EXPECT_THROW(Canvas(1, 16385), Error);
  Canvas canvas(2, 2);
  EXPECT_THROW(canvas.at(2, 0), Error);
  EXPECT_THROW(canvas.text(0, 0, "a", ink, 0), Error);
  EXPECT_THROW(Canvas::text_width("a", 65), Error);
  EXPECT_THROW(canvas.hatch({0, 0, 2, 2}, ink, 1, 0), Error);
}

TEST(Canvas, RectanglesAreCutAtTheEdges) {
  Canvas canvas(10, 10);
  canvas.fill_rectangle({8, 8, 5, 5}, red);
  EXPECT_EQ(drawn(canvas), 4);
  canvas.fill_rectangle({-3, -3, 4, 4}, red);
  EXPECT_EQ(drawn(canvas), 5);
  for (const Box box :
       {Box{10, 0, 5, 5}, {0, -5, 5, 5}, {2, 2, 0, 5}, {2, 2, -1, 5}, {INT_MAX, INT_MAX, INT_MAX, 1}})
    canvas.fill_rectangle(box, red);
  EXPECT_EQ(drawn(canvas), 5);
  canvas.fill_rectangle({INT_MIN, 0, INT_MAX, 10}, red);
  EXPECT_EQ(drawn(canvas), 5);
  canvas.fill_rectangle({-1, -1, INT_MAX, INT_MAX}, red);
  EXPECT_EQ(drawn(canvas), 100);
}

TEST(Canvas, OpacityMixes) {
  Canvas canvas(2, 1, {0, 100, 200});
  canvas.fill_rectangle({0, 0, 1, 1}, {100, 200, 0}, 0.5);
  EXPECT_EQ(canvas.at(0, 0), (Colour{50, 150, 100}));
  canvas.fill_rectangle({0, 0, 2, 1}, red, 0);
  canvas.fill_rectangle({0, 0, 2, 1}, red, nan);
  EXPECT_EQ(canvas.at(1, 0), (Colour{0, 100, 200}));
}

TEST(Canvas, OutlineStaysInsideItsBox) {
  Canvas canvas(10, 10);
  canvas.outline({2, 2, 6, 5}, red);
  EXPECT_EQ(drawn(canvas), 2 * 6 + 2 * 3);
  EXPECT_EQ(canvas.at(2, 6), red);
  EXPECT_EQ(canvas.at(3, 3), white);
  for (const int thickness : {2, 3, 100}) {
    Canvas thick(10, 10);
    thick.outline({2, 2, 6, 5}, red, thickness);
    EXPECT_EQ(drawn(thick), thickness == 2 ? 30 - 2 : 30);
  }
  Canvas cut(10, 10);
  cut.outline({7, 8, INT_MAX, INT_MAX}, red);
  cut.outline({INT_MAX, INT_MAX, INT_MAX, INT_MAX}, red, INT_MAX);
  cut.outline({-5, -5, 100, 100}, red, -1);
  EXPECT_EQ(drawn(cut), 3 + 1);
}

TEST(Canvas, HatchCoversItsShareAndLinesUp) {
  Canvas whole(60, 60), halves(60, 60);
  whole.hatch({0, 0, 60, 60}, blue);
  EXPECT_EQ(drawn(whole), 60 * 60 / 3);
  halves.hatch({0, 0, 25, 60}, blue);
  halves.hatch({25, 0, 35, 60}, blue);
  EXPECT_TRUE(same(whole, halves));
}

TEST(Line, CrispOnPixelCentresSharedBetweenThem) {
  Canvas canvas(20, 5);
  canvas.line({2.5, 2.5}, {17.5, 2.5}, red);
  EXPECT_EQ(canvas.at(10, 2), red);
  EXPECT_EQ(drawn(canvas, {2, 2, 16, 1}, false), 0);
  Canvas between(20, 5);
  between.line({2.5, 3}, {17.5, 3}, red);
  EXPECT_EQ(between.at(10, 2), between.at(10, 3));
  EXPECT_NEAR(between.at(10, 2).g, 128, 1);
}

TEST(Line, WeighsWhatItsThicknessSays) {
  for (const double thickness : {0.5, 1.0, 2.0, 5.0}) {
    Canvas canvas(200, 200);
    canvas.line({30, 40}, {170, 145}, {0, 0, 0}, thickness);  // 175 long
    double ink_used = 0;
    for (const std::uint8_t value : canvas.image().pixels) ink_used += (255 - value) / 255.0 / 3;
    const double caps = 3.14159 / 4 * thickness * thickness;
    EXPECT_NEAR(ink_used, 175 * thickness + caps, 0.06 * 175 * thickness + 2) << thickness;
  }
}

TEST(Line, FarEndsAreCut) {
  Canvas near(40, 40), far(40, 40);
  near.line({-10, -10}, {50, 50}, red);
  far.line({-1e6, -1e6}, {1e6, 1e6}, red);
  EXPECT_TRUE(same(near, far));
  const double most = std::numeric_limits<double>::max();
  Canvas flat(40, 40);
  flat.line({-1e12, 20.5}, {1e12, 20.5}, red);
  EXPECT_EQ(drawn(flat), 40);
  flat.line({-most, 20.5}, {most, 20.5}, red);
  EXPECT_EQ(drawn(flat), 40);
  Canvas none(40, 40);
  none.line({-5, -5}, {50, -5}, red);
  none.line({most, most}, {most, -most}, red);
  EXPECT_EQ(drawn(none), 0);
}

TEST(Line, WhatIsNotFiniteDrawsNothing) {
  Canvas canvas(10, 10);
  for (const double bad : {nan, infinity, -infinity}) {
    canvas.line({bad, 1}, {5, 5}, red);
    canvas.line({1, 1}, {5, bad}, red);
    canvas.line({1, 1}, {5, 5}, red, bad);
  }
  canvas.line({1, 1}, {5, 5}, red, 0);
  canvas.polyline({}, red);
  EXPECT_EQ(drawn(canvas), 0);
}

TEST(Line, PolylineCoversAPixelOnce) {
  const std::vector<Point> there_and_back{{2, 3}, {17, 9}, {2, 3}};
  Canvas once(20, 12), twice(20, 12);
  once.line({2, 3}, {17, 9}, red);
  twice.polyline(there_and_back, red);
  EXPECT_TRUE(same(once, twice));
  Canvas dot(20, 12);
  dot.polyline(std::vector<Point>{{10, 6}}, red, 6);
  EXPECT_GT(drawn(dot, {7, 3, 6, 6}, true), 24);
  EXPECT_EQ(drawn(dot, {6, 2, 8, 8}, false), 0);
}

TEST(Font, GlyphsDifferAndFitTheirCell) {
  std::set<std::pair<int, std::array<std::uint8_t, glyph_rows>>> seen;
  for (int c = 32; c < 127; ++c) {
    const Glyph& g = glyph(static_cast<char>(c));
    EXPECT_TRUE(g.width >= 1 && g.width <= 7) << c;
    bool inked = false;
    for (const int row : g.rows) {
      EXPECT_EQ(row >> g.width, 0) << c;
      inked = inked || row != 0;
    }
    EXPECT_EQ(inked, c != ' ') << c;
    EXPECT_TRUE(seen.insert({g.width, g.rows}).second) << c;
  }
  for (const char digit : {'1', '5', '9'}) EXPECT_EQ(glyph(digit).width, glyph('0').width);
  for (const char other : {'\n', '\x7f', '\xc3', '\xff'}) EXPECT_EQ(&glyph(other), &glyph('\x01'));
}

TEST(Text, WidthIsWhatIsDrawn) {
  for (const int scale : {1, 2, 3}) {
    for (const Weight weight : {Weight::regular, Weight::bold}) {
      for (const char* string : {"Hl", "completes pictures", "|x| = 0.25 %M"}) {
        const int width = Canvas::text_width(string, scale, weight), height = Canvas::text_height(scale);
        Canvas canvas(width + 40, height + 40);
        canvas.text(20, 20, string, red, scale, Anchor::left, weight);
        EXPECT_EQ(drawn(canvas, {20, 20, width, height}, false), 0) << string;
        EXPECT_GT(drawn(canvas, {20, 20, scale, height}, true), 0) << string;
        EXPECT_GT(drawn(canvas, {20 + width - scale, 20, scale, height}, true), 0) << string;
      }
    }
  }
  EXPECT_EQ(Canvas::text_width(""), 0);
  EXPECT_EQ(Canvas::text_width("ab", 2), 2 * Canvas::text_width("ab"));
  EXPECT_EQ(Canvas::text_width("caf\xc3\xa9"), Canvas::text_width("caf\x7f"));
}

TEST(Text, AnchorsMoveIt) {
  const int width = Canvas::text_width("anchor");
  Canvas left(100, 20), centre(100, 20), right(100, 20);
  left.text(50 - width / 2, 4, "anchor", red);
  centre.text(50, 4, "anchor", red, 1, Anchor::centre);
  right.text(50 - width / 2 + width, 4, "anchor", red, 1, Anchor::right);
  EXPECT_TRUE(same(left, centre));
  EXPECT_TRUE(same(left, right));
}

TEST(Text, IsCutAtTheEdges) {
  Canvas large(120, 60), small(60, 20);
  large.text(20, 15, "cut at the edges", red, 2);
  small.text(-10, -5, "cut at the edges", red, 2);
  for (int y = 0; y < small.height(); ++y)
    for (int x = 0; x < small.width(); ++x) EXPECT_EQ(small.at(x, y), large.at(x + 30, y + 20));
  Canvas none(20, 20);
  for (const int far : {INT_MIN, -1000, 1000, INT_MAX}) {
    for (const Anchor anchor : {Anchor::left, Anchor::centre, Anchor::right})
      none.text(far, 0, "far", red, 64, anchor);
    none.text(0, far, "far", red, 64);
  }
  EXPECT_EQ(drawn(none), 0);
}

}  // namespace
}  // namespace plasticity::draw
