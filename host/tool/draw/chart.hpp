#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plasticity/io/png.hpp"
#include "tool/draw/palette.hpp"

namespace plasticity::draw {

/// Whether this build draws pictures. Without Cairo nothing else of this folder may be called.
inline constexpr bool available = PLASTICITY_HAVE_CAIRO;

/// The line that a program prints instead of drawing.
inline constexpr const char* unavailable_reason =
    "no picture is written: this build is without Cairo (Debian package libcairo2-dev; install it and "
    "configure again)";

/// A curve through points from left to right, with an optional band behind it. A point with a coordinate that
/// is not finite, is beyond 1e150, or is not positive on a logarithmic axis leaves a gap.
struct Curve {
  std::string name;                   ///< written at its end; may be empty
  std::vector<double> x;              ///< rising
  std::vector<double> y;              ///< as many as x
  std::vector<double> low = {};       ///< lower edge of the band: as many as x, or empty
  std::vector<double> high = {};      ///< upper edge of the band: as many as x, or empty
  std::optional<Colour> colour = {};  ///< default: the next of series_colours
};

/// A dashed horizontal line, a value to compare with.
struct Reference {
  double y = 0;
  std::string label;  ///< may be empty
};

struct ChartOptions {
  std::string title = {}, x_label = {}, y_label = {};  ///< each may be empty
  bool log_x = false, log_y = false;
  std::optional<Reference> reference = {};
  int width = 800, height = 480;  ///< points
  int scale = 2;                  ///< pixels per point
};

/// Draws a line chart: axes that fit the data, round ticks, a light grid, the name of each curve beside its
/// last point. A chart of at most 16 points per curve has a dot at each point. Names that do not fit are
/// counted in one line. A chart too small for a plot stays white. Throws Error(invalid_argument): vectors of
/// a curve of different lengths, a side that is not 64 to 16384 pixels, a name that is not UTF-8;
/// Error(out_of_memory).
io::Image line_chart(std::span<const Curve> curves, const ChartOptions& options);

}  // namespace plasticity::draw
