#include <algorithm>
#include <climits>
#include <string>

#include "base/throw_error.hpp"
#include "tool/draw/canvas.hpp"
#include "tool/draw/font.hpp"

namespace plasticity::draw {
namespace {

constexpr int largest_scale = 64;

void require_scale(int scale) {
  if (scale < 1 || scale > largest_scale)
    bad_argument("scale", plasticity::str_cat("in [1, ", largest_scale, "]"), std::to_string(scale));
}

/// How far to the right a bold glyph is drawn once more, in pixels.
int bold_by(int scale, Weight weight) { return weight == Weight::bold ? (scale + 1) / 2 : 0; }

std::int64_t advance(const Glyph& glyph, int scale, Weight weight) {
  return (glyph.width + glyph_spacing) * scale + bold_by(scale, weight);
}

bool inked(const Glyph& glyph, int row, int column) {
  return row >= 0 && row < glyph_rows && column >= 0 && column < glyph.width &&
         (glyph.rows[static_cast<std::size_t>(row)] >> column & 1) != 0;
}

/// How much of a pixel, at (i, j) from the corner, is in a triangle in that corner with two sides of `side`
/// pixels.
double triangle_cover(int i, int j, double side) {
  constexpr int samples = 8;
  int in = 0;
  for (int a = 0; a < samples; ++a)
    for (int b = 0; b < samples; ++b) in += i + (a + 0.5) / samples + j + (b + 0.5) / samples < side ? 1 : 0;
  return static_cast<double>(in) / (samples * samples);
}

}  // namespace

int Canvas::text_width(std::string_view string, int scale, Weight weight) {
  require_scale(scale);
  std::int64_t width = -glyph_spacing * scale;
  for (const char c : string)
    if (starts_character(c)) width += advance(glyph(c), scale, weight);
  return static_cast<int>(std::clamp<std::int64_t>(width, 0, INT_MAX));
}

int Canvas::text_height(int scale) {
  require_scale(scale);
  return glyph_rows * scale;
}

void Canvas::text(int x, int y, std::string_view string, Colour colour, int scale, Anchor anchor,
                  Weight weight) {
  const int width = text_width(string, scale, weight);
  if (y >= height_ || y <= -text_height(scale)) return;
  std::int64_t pen = std::int64_t{x} - (anchor == Anchor::centre  ? width / 2
                                        : anchor == Anchor::right ? width
                                                                  : 0);
  for (const char c : string) {
    if (!starts_character(c)) continue;
    const Glyph& drawn = glyph(c);
    const std::int64_t next = pen + advance(drawn, scale, weight);
    if (pen < width_ && next > 0) {
      draw_glyph(static_cast<int>(pen), y, drawn, colour, scale);
      const int by = bold_by(scale, weight);
      if (by > 0) draw_glyph(static_cast<int>(pen) + by, y, drawn, colour, scale);
    }
    pen = next;
  }
}

void Canvas::draw_glyph(int x, int y, const Glyph& drawn, Colour colour, int scale) {
  for (int row = 0; row < glyph_rows; ++row) {
    for (int column = 0; column < drawn.width; ++column) {
      const Box cell{x + column * scale, y + row * scale, scale, scale};
      if (inked(drawn, row, column)) {
        fill_rectangle(cell, colour);
        continue;
      }
      if (scale == 1) continue;
      // Enlarged, the steps of a slanted stroke are filled in: corners of a free cell beside two inked ones
      // that touch at that corner only.
      for (const int down : {-1, 1})
        for (const int right : {-1, 1})
          if (inked(drawn, row + down, column) && inked(drawn, row, column + right) &&
              !inked(drawn, row + down, column + right))
            fill_corner(cell, right, down, colour);
    }
  }
}

void Canvas::fill_corner(Box cell, int right, int down, Colour colour) {
  constexpr double share = 0.75;  // of the cell's side
  for (int j = 0; j < cell.height; ++j) {
    for (int i = 0; i < cell.width; ++i) {
      const int x = right > 0 ? cell.x + cell.width - 1 - i : cell.x + i;
      const int y = down > 0 ? cell.y + cell.height - 1 - j : cell.y + j;
      fill_rectangle({x, y, 1, 1}, colour, triangle_cover(i, j, share * cell.width));
    }
  }
}

}  // namespace plasticity::draw
