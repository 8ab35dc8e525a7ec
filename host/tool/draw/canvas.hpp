#pragma once

#include <cairo.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "plasticity/io/png.hpp"
#include "tool/draw/palette.hpp"

namespace plasticity::draw {

/// A position in points from the top left corner of the canvas, x to the right and y down.
struct Point {
  double x = 0, y = 0;
};

/// A rectangle in points.
struct Box {
  double x = 0, y = 0, width = 0, height = 0;
  double right() const { return x + width; }
  double bottom() const { return y + height; }
};

/// The part of a line of text that is placed at its x.
enum class Anchor { left, centre, right };

struct TextStyle {
  double size = 12;  ///< points
  Colour colour = ink;
  bool bold = false;
  Anchor anchor = Anchor::left;
};

/// An image drawn by Cairo. Coordinates and lengths are finite numbers of points. Drawing outside the canvas
/// has no effect.
class Canvas {
 public:
  /// A white canvas of width x height points, with `scale` pixels per point in both directions.
  /// Throws Error(invalid_argument) for a side that is not 1 to 16384 pixels; Error(out_of_memory).
  Canvas(int width, int height, int scale = 2);

  int width() const { return width_; }
  int height() const { return height_; }
  /// The nearest pixel border. Edges on pixel borders are sharp.
  double snap(double coordinate) const;

  void fill(Box box, Colour colour, double opacity = 1);
  /// A frame inside the box.
  void outline(Box box, Colour colour, double thickness);
  void dot(Point centre, double radius, Colour colour);
  /// A line through the points, with round ends and corners, or dashed.
  void line(std::span<const Point> points, Colour colour, double thickness, bool dashed = false);
  void polygon(std::span<const Point> corners, Colour colour, double opacity = 1);

  /// One line of UTF-8 text. `at.y` is the baseline. The font is the system's sans-serif; without any font
  /// Cairo uses its own, which has ASCII only. Throws Error(invalid_argument) for text that is not UTF-8.
  void text(Point at, const std::string& line, const TextStyle& style = {});
  /// The same with `at.y` in the middle of the capitals.
  void text_in_middle(Point at, const std::string& line, const TextStyle& style = {});
  /// Points from the start of the text to the start of a text after it.
  double text_width(const std::string& line, const TextStyle& style = {});

  /// A grey picture [rows,columns] that fills the box: -1 and below is black, 1 and above is white, NaN is
  /// `alarm`. Pixels with `unseen` [rows,columns] not 0 are hatched; `unseen` may be empty. Throws
  /// Error(invalid_argument) for rows or columns below 1 and for spans of another size.
  void picture(Box box, std::span<const float> values, int rows, int columns,
               std::span<const std::uint8_t> unseen = {});

  /// The canvas as an image of 3 channels. Throws Error(out_of_memory) if Cairo had no memory for a call
  /// above.
  io::Image image() const;

 private:
  struct Destroy {
    void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
    void operator()(cairo_t* context) const { cairo_destroy(context); }
  };
  void set_colour(Colour colour, double opacity = 1);
  void set_font(const TextStyle& style);
  void hatch(Box box, std::span<const std::uint8_t> unseen, int rows, int columns);

  int width_, height_, scale_;
  std::unique_ptr<cairo_surface_t, Destroy> surface_;
  std::unique_ptr<cairo_t, Destroy> context_;
};

}  // namespace plasticity::draw
