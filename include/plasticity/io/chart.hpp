#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"

namespace plasticity::io {

/// A named curve: points from left to right. `low` and `high`, as long as `x` or empty, are a band behind it
/// (a range over seeds). A value that is not finite leaves a gap.
struct Curve {
  std::string name;            ///< stands at its end
  std::vector<double> x;       ///< from left to right
  std::vector<double> y;       ///< as many as x
  std::vector<double> low{};   ///< the band's lower edge, or empty
  std::vector<double> high{};  ///< the band's upper edge, or empty
};

/// What stands around the curves.
struct ChartOptions {
  std::string title{};                ///< may be empty
  std::string x_label{};              ///< may be empty
  std::string y_label{};              ///< may be empty
  bool log_y = false;                 ///< values that are not positive are then left out
  std::optional<double> reference{};  ///< of a dashed line across the chart
  std::string reference_label{};      ///< of that line
  int width = 800;                    ///< pixels, 64 to 16384
  int height = 480;                   ///< pixels, 64 to 16384
};

/// Draws the curves as a line chart (axes that fit the data, each name at the end of its curve) and writes it
/// as PNG, as write_png() does. Throws Error: invalid_argument (vectors of a curve of different length, a
/// size out of range), io, out_of_memory.
PLASTICITY_API void write_chart(const std::filesystem::path& path, std::span<const Curve> curves,
                                const ChartOptions& options = {});

}  // namespace plasticity::io
