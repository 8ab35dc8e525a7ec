#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tool/draw/canvas.hpp"

namespace plasticity::draw {

/// A curve: its points from left to right. Where a point cannot be shown (not finite; not positive on a
/// logarithmic axis; beyond 1e150) the curve has a gap.
struct Series {
  std::string name;  ///< at the end of the curve; none where empty
  Colour colour;
  std::vector<std::pair<double, double>> points;
  /// Low and high at each point, lightly filled; may be empty.
  std::vector<std::pair<double, double>> band = {};
};

/// A dashed line across the chart, of a value to compare with.
struct Reference {
  double y = 0;
  std::string label;
};

struct ChartOptions {
  std::string title, x_label, y_label;  ///< each may be empty
  bool log_x = false, log_y = false;
  std::optional<Reference> reference;
  int scale = 1;  ///< of text, lines and margins, in [1, 8]
};

/// Draws a line chart in a part of the canvas, on what is there: axes that fit the data, round ticks, a light
/// grid, the name of a series beside its last point. Draws no more than it has room for: names that do not
/// fit are counted instead, and a box too small for a plot stays empty. Throws Error invalid_argument: a
/// scale out of range.
void line_chart(Canvas& canvas, Box box, std::span<const Series> series, const ChartOptions& options);

/// The same on a canvas of its own.
Canvas line_chart(int width, int height, std::span<const Series> series, const ChartOptions& options);

}  // namespace plasticity::draw
