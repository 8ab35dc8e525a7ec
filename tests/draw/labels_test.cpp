#include "tool/draw/labels.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plasticity::draw {
namespace {

/// Ten points per byte.
double ten_per_byte(const std::string& text) { return 10.0 * static_cast<double>(text.size()); }

TEST(Spread, KeepsOrderDistanceAndRange) {
  EXPECT_EQ(spread({10, 50}, 12, 0, 100), (std::vector<double>{10, 50}));
  EXPECT_EQ(spread({50, 50}, 12, 0, 100), (std::vector<double>{44, 56}));
  EXPECT_EQ(spread({0, 0, 0}, 12, 0, 100), (std::vector<double>{0, 12, 24}));
  EXPECT_EQ(spread({100, 100, 100}, 12, 0, 100), (std::vector<double>{76, 88, 100}));
  EXPECT_EQ(spread({}, 12, 0, 100), std::vector<double>{});
  unsigned state = 1;
  for (int i = 0; i < 500; ++i) {
    std::vector<double> wanted;
    for (int k = 0; k < 9; ++k) {
      state = state * 1664525u + 1013904223u;
      wanted.push_back(state >> 25);
    }
    std::sort(wanted.begin(), wanted.end());
    const std::vector<double> positions = spread(wanted, 12, 0, 100);
    ASSERT_EQ(positions.size(), wanted.size());
    EXPECT_GE(positions.front(), -1e-9);
    EXPECT_LE(positions.back(), 100 + 1e-9);
    for (std::size_t k = 1; k < positions.size(); ++k) EXPECT_GE(positions[k] - positions[k - 1], 12 - 1e-9);
  }
}

TEST(Shortened, FitsItsWidth) {
  EXPECT_EQ(shortened("fits", 40, ten_per_byte), "fits");
  EXPECT_EQ(shortened("does not", 70, ten_per_byte), "does...");
  EXPECT_EQ(shortened("does not", 0, ten_per_byte), "");
  const std::string text = "d\xc3\xa9j\xc3\xa0 vu, a picture seen a moment ago";
  for (int width = 0; width < 400; ++width) {
    const std::string cut = shortened(text, width, ten_per_byte);
    EXPECT_LE(ten_per_byte(cut), width);
    EXPECT_TRUE(cut.empty() || cut == text || cut.ends_with("..."));
    EXPECT_EQ(cut.find("\xc3."), std::string::npos) << "a character was cut in two";
  }
}

TEST(Wrapped, BreaksBetweenWords) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(wrapped("", 100, 2, ten_per_byte), Lines{});
  EXPECT_EQ(wrapped("one line", 80, 2, ten_per_byte), Lines{"one line"});
  EXPECT_EQ(wrapped("two of lines", 70, 2, ten_per_byte), (Lines{"two of", "lines"}));
  EXPECT_EQ(wrapped("a text of more than two lines", 100, 2, ten_per_byte),
            (Lines{"a text of", "more th..."}));
  EXPECT_EQ(wrapped("incomprehensibilities are long", 100, 2, ten_per_byte),
            (Lines{"incompr...", "are long"}));
}

}  // namespace
}  // namespace plasticity::draw
