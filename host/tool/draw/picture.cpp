#include <algorithm>
#include <cmath>
#include <string>

#include "base/throw_error.hpp"
#include "tool/draw/canvas.hpp"

namespace plasticity::draw {
namespace {

constexpr int most = 16384, hatch_period = 6, hatch_thickness = 2;

void require_size(const char* argument, int value) {
  if (value < 1 || value > most)
    bad_argument(argument, plasticity::str_cat("in [1, ", most, "]"), std::to_string(value));
}

/// The values of a picture, of which some may not be known.
struct Values {
  std::span<const float> values;
  std::span<const std::uint8_t> unknown;
  int rows, columns;

  std::size_t index(int row, int column) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
           static_cast<std::size_t>(column);
  }
  bool known(int row, int column) const { return unknown.empty() || unknown[index(row, column)] == 0; }
  double at(int row, int column) const {  // NaN stays NaN
    const double value = static_cast<double>(values[index(row, column)]);
    return value < -1 ? -1 : value > 1 ? 1 : value;
  }

  /// Between the centres of the values, where (0, 0) is the first value's: a mean of the up to four next
  /// ones, of those that are known.
  double between(double row, double column) const {
    row = std::clamp(row, 0.0, rows - 1.0);
    column = std::clamp(column, 0.0, columns - 1.0);
    const int top = static_cast<int>(row), left = static_cast<int>(column);
    double sum = 0, weights = 0;
    for (int i = top; i <= std::min(top + 1, rows - 1); ++i) {
      for (int j = left; j <= std::min(left + 1, columns - 1); ++j) {
        const double weight = (1 - std::abs(row - i)) * (1 - std::abs(column - j));
        if (weight == 0 || !known(i, j)) continue;
        sum += weight * at(i, j);
        weights += weight;
      }
    }
    return sum / weights;
  }
};

Colour shade(double value, const PictureStyle& style) {
  if (std::isnan(value)) return alarm;
  const auto channel = [&](int low, int high) {
    return static_cast<std::uint8_t>(std::lround(low + (value + 1) / 2 * (high - low)));
  };
  return {channel(style.low.r, style.high.r), channel(style.low.g, style.high.g),
          channel(style.low.b, style.high.b)};
}

}  // namespace

void Canvas::picture(int x, int y, int scale, std::span<const float> values, int rows, int columns,
                     const PictureStyle& style) {
  require_size("scale", scale);
  require_size("rows", rows);
  require_size("columns", columns);
  const Values source{values, style.unknown, rows, columns};
  const std::size_t size = source.index(rows, 0);
  if (values.size() != size)
    bad_argument("values", plasticity::str_cat(size, " of them"), std::to_string(values.size()));
  if (!style.unknown.empty() && style.unknown.size() != size)
    bad_argument("unknown", plasticity::str_cat(size, " of them, or none"),
                 std::to_string(style.unknown.size()));

  const Box all{x, y, columns * scale, rows * scale}, in = inside(all);
  for (int j = in.y; j < in.y + in.height; ++j) {
    for (int i = in.x; i < in.x + in.width; ++i) {
      const std::int64_t down = std::int64_t{j} - y, right = std::int64_t{i} - x;
      const int row = static_cast<int>(down / scale), column = static_cast<int>(right / scale);
      if (!source.known(row, column)) {
        blend(i, j, (i + j) % hatch_period < hatch_thickness ? hidden_stripe : hidden, 1);
      } else if (style.smooth) {
        const double v = (static_cast<double>(down) + 0.5) / scale - 0.5;
        const double u = (static_cast<double>(right) + 0.5) / scale - 0.5;
        blend(i, j, shade(source.between(v, u), style), 1);
      } else {
        blend(i, j, shade(source.at(row, column), style), 1);
      }
    }
  }
}

}  // namespace plasticity::draw
