#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"

namespace plasticity::io {

/// A named curve: points from left to right. `low` and `high`, as long as `x` or empty, are a band behind it
/// (a range over seeds). A value that is not finite leaves a gap.
struct Curve {
  std::string name;
  std::vector<double> x, y;
  std::vector<double> low{}, high{};
};

struct ChartOptions {
  std::string title{}, x_label{}, y_label{};  ///< each may be empty
  bool log_y = false;                         ///< values that are not positive are then left out
  std::vector<double> reference{};            ///< empty, or one value: a dashed line across the chart
  std::string reference_label{};
  int width = 800, height = 480;  ///< pixels, 64 to 16384
};

/// Draws the curves as a line chart (axes that fit the data, each name at the end of its curve) and writes it
/// as PNG, as write_png() does. Throws Error: invalid_argument (vectors of a curve of different length, more
/// than one reference, a size out of range), io, out_of_memory.
PLASTICITY_API void write_chart(const std::filesystem::path& path, std::span<const Curve> curves,
                 const ChartOptions& options = {});

}  // namespace plasticity::io
