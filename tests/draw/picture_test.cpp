#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <vector>

#include "plasticity/error.hpp"
#include "tool/draw/canvas.hpp"

namespace plasticity::draw {
namespace {

constexpr Colour ground{10, 200, 10};

TEST(Picture, EachValueIsASquareOfItsGrey) {
  Canvas canvas(12, 10, ground);
  const std::vector<float> values{-1, 0, 1, 2, -7, 0.5f};
  canvas.picture(1, 2, 3, values, 2, 3);
  EXPECT_EQ(canvas.at(1, 2), (Colour{0, 0, 0}));
  EXPECT_EQ(canvas.at(3, 4), (Colour{0, 0, 0}));
  EXPECT_EQ(canvas.at(4, 2), (Colour{128, 128, 128}));
  EXPECT_EQ(canvas.at(9, 4), white);
  EXPECT_EQ(canvas.at(1, 5), white);                    // 2, cut off
  EXPECT_EQ(canvas.at(4, 5), (Colour{0, 0, 0}));        // -7
  EXPECT_EQ(canvas.at(7, 7), (Colour{191, 191, 191}));  // 0.5
  for (const auto& [x, y] : {std::pair{0, 2}, {10, 2}, {1, 1}, {1, 8}}) EXPECT_EQ(canvas.at(x, y), ground);
}

TEST(Picture, IsCutAtTheEdges) {
  std::vector<float> values;
  for (int i = 0; i < 36; ++i) values.push_back(static_cast<float>(std::sin(i * 1.7)));
  for (const bool smooth : {false, true}) {
    Canvas large(40, 40), small(11, 9);
    large.picture(5, 5, 5, values, 6, 6, {.smooth = smooth});
    small.picture(-7, -8, 5, values, 6, 6, {.smooth = smooth});
    for (int y = 0; y < small.height(); ++y)
      for (int x = 0; x < small.width(); ++x) EXPECT_EQ(small.at(x, y), large.at(x + 12, y + 13));
  }
  Canvas none(8, 8, ground);
  for (const int far : {INT_MIN, -31, 8, INT_MAX}) {
    none.picture(far, 0, 5, values, 6, 6);
    none.picture(0, far, 5, values, 6, 6);
  }
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x) EXPECT_EQ(none.at(x, y), ground);
}

TEST(Picture, WhatIsNotKnownIsNotShown) {
  const std::vector<std::uint8_t> unknown{0, 1, 0, 1};
  const std::vector<float> some{1, -1, 1, std::nanf("")}, other{1, 0.3f, 1, 1};
  for (const bool smooth : {false, true}) {
    Canvas a(40, 40), b(40, 40);
    a.picture(0, 0, 20, some, 2, 2, {.unknown = unknown, .smooth = smooth});
    b.picture(0, 0, 20, other, 2, 2, {.unknown = unknown, .smooth = smooth});
    EXPECT_TRUE(a.image().pixels == b.image().pixels);
    for (int y = 0; y < 40; ++y) {
      EXPECT_EQ(a.at(19, y), white);
      EXPECT_TRUE(a.at(20, y) == hidden || a.at(20, y) == hidden_stripe);
    }
  }
}

TEST(Picture, WhatIsNotANumberIsSeen) {
  Canvas canvas(3, 1);
  const float infinity = std::numeric_limits<float>::infinity();
  canvas.picture(0, 0, 1, std::vector<float>{std::nanf(""), infinity, -infinity}, 1, 3);
  EXPECT_EQ(canvas.at(0, 0), alarm);
  EXPECT_EQ(canvas.at(1, 0), white);
  EXPECT_EQ(canvas.at(2, 0), (Colour{0, 0, 0}));
}

TEST(Picture, SmoothRisesFromValueToValue) {
  Canvas canvas(40, 10);
  canvas.picture(0, 0, 10, std::vector<float>{-1, 0, 1, 1}, 1, 4, {.smooth = true});
  for (int x = 1; x < 40; ++x) {
    EXPECT_GE(canvas.at(x, 5).r, canvas.at(x - 1, 5).r);
    EXPECT_LE(canvas.at(x, 5).r - canvas.at(x - 1, 5).r, 13);
  }
  EXPECT_EQ(canvas.at(0, 5).r, 0);
  EXPECT_EQ(canvas.at(39, 5).r, 255);
}

TEST(Picture, ItsOwnColours) {
  Canvas canvas(2, 1);
  canvas.picture(0, 0, 1, std::vector<float>{-1, 1}, 1, 2, {.low = white, .high = ground});
  EXPECT_EQ(canvas.at(0, 0), white);
  EXPECT_EQ(canvas.at(1, 0), ground);
}

TEST(Picture, SizesAreChecked) {
  Canvas canvas(4, 4);
  const std::vector<float> values(6);
  const std::vector<std::uint8_t> unknown(5);
  EXPECT_THROW(canvas.picture(0, 0, 1, values, 2, 2), Error);
  EXPECT_THROW(canvas.picture(0, 0, 0, values, 2, 3), Error);
  EXPECT_THROW(canvas.picture(0, 0, 1, {}, 0, 3), Error);
  EXPECT_THROW(canvas.picture(0, 0, 1, values, 2, 3, {.unknown = unknown}), Error);
  EXPECT_NO_THROW(canvas.picture(0, 0, 16384, values, 2, 3));
}

}  // namespace
}  // namespace plasticity::draw
