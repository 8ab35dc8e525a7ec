#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "plasticity/io/png.hpp"
#include "tool/draw/palette.hpp"

namespace plasticity::draw {

struct Glyph;

/// Coordinates in pixels from the top left corner; pixel (i, j) covers [i, i+1) x [j, j+1).
struct Point {
  double x = 0, y = 0;
};

struct Box {
  int x = 0, y = 0, width = 0, height = 0;  ///< pixels; nothing is in it where a side is not positive
};

/// Where the `x` of a text lies in it.
enum class Anchor { left, centre, right };

enum class Weight { regular, bold };

struct PictureStyle {
  Colour low{0, 0, 0}, high{255, 255, 255};  ///< of -1 and of +1
  /// Not empty: [rows,columns], where not 0 the value is not known: hatched, and not looked at.
  std::span<const std::uint8_t> unknown = {};
  bool smooth = false;  ///< between two values a gradient, not an edge
};

/// An image to draw on. Whatever lies outside is left out; a coordinate that is not finite draws nothing.
class Canvas {
 public:
  /// Throws Error invalid_argument: a side not in [1, 16384].
  Canvas(int width, int height, Colour background = white);

  int width() const { return width_; }
  int height() const { return height_; }
  /// Throws Error invalid_argument: outside.
  Colour at(int x, int y) const;

  /// Opacity, here and below: 1 covers, 0 leaves all as it is, in between mixes.
  void fill_rectangle(Box box, Colour colour, double opacity = 1);
  /// A frame inside the box.
  void outline(Box box, Colour colour, int thickness = 1);
  /// Diagonal stripes of `thickness` pixels, one every `period`. All stripes of a canvas line up.
  void hatch(Box box, Colour colour, double opacity = 1, int period = 6, int thickness = 2);
  /// Anti-aliased, with round ends. A crisp horizontal line 1 pixel thick has its y at a half.
  void line(Point from, Point to, Colour colour, double thickness = 1);
  /// As line(), through all the points, each pixel covered once. One point: a dot.
  void polyline(std::span<const Point> points, Colour colour, double thickness = 1);

  /// A line of text; `y` is the top of its cell. Each pixel of the font is `scale` pixels wide and high, with
  /// slanted strokes made smooth. Printable ASCII; any other character, UTF-8 or control, is a box.
  /// Throws Error invalid_argument, as the sizes do: `scale` not in [1, 64].
  void text(int x, int y, std::string_view string, Colour colour, int scale = 1, Anchor anchor = Anchor::left,
            Weight weight = Weight::regular);
  static int text_width(std::string_view string, int scale = 1, Weight weight = Weight::regular);
  static int text_height(int scale = 1);

  /// A picture with its top left corner at (x, y), each of its values `scale` pixels wide and high. Values
  /// beyond [-1,1] are cut off there; one that is not a number is drawn in `alarm`.
  /// Throws Error invalid_argument: rows, columns or scale not in [1, 16384], spans of another size.
  void picture(int x, int y, int scale, std::span<const float> values, int rows, int columns,
               const PictureStyle& style = {});

  /// Three channels.
  io::Image image() const;

 private:
  Box inside(Box box) const;
  std::size_t index(int x, int y) const;
  void draw_glyph(int x, int y, const Glyph& drawn, Colour colour, int scale);
  void fill_corner(Box cell, int right, int down, Colour colour);  // down, right: 1 or -1
  void blend(int x, int y, Colour colour, double opacity);         // (x, y) is inside

  int width_, height_;
  std::vector<Colour> pixels_;  // [height,width]
};

}  // namespace plasticity::draw
