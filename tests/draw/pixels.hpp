#pragma once

#include <functional>

#include "plasticity/io/png.hpp"
#include "tool/draw/palette.hpp"

namespace plasticity::draw {

/// The pixel in column x and row y of an image of three channels.
inline Colour pixel(const io::Image& image, std::int64_t x, std::int64_t y) {
  const std::uint8_t* at = &image.pixels.at(static_cast<std::size_t>((y * image.width + x) * 3));
  return {at[0], at[1], at[2]};
}

/// Columns and rows of an image from `left` and `top` up to, without, `right` and `bottom`.
struct Region {
  std::int64_t left, top, right, bottom;
};

/// The number of pixels in a region that satisfy a predicate.
inline int count(const io::Image& image, Region region, const std::function<bool(Colour)>& wanted) {
  int number = 0;
  for (std::int64_t y = region.top; y < region.bottom; ++y)
    for (std::int64_t x = region.left; x < region.right; ++x) number += wanted(pixel(image, x, y)) ? 1 : 0;
  return number;
}

inline int count(const io::Image& image, const std::function<bool(Colour)>& wanted) {
  return count(image, {0, 0, image.width, image.height}, wanted);
}

inline bool inked(Colour colour) { return colour != white; }

}  // namespace plasticity::draw
