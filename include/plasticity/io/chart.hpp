#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"

namespace plasticity::io {

/// A named curve with an optional band behind it, for example the range over seeds. A value that is not
/// finite leaves a gap.
struct Curve {
  std::string name;            ///< label at the end of the curve
  std::vector<double> x;       ///< positions, from left to right
  std::vector<double> y;       ///< values, as many as x
  std::vector<double> low{};   ///< lower edge of the band, as many as x, or empty
  std::vector<double> high{};  ///< upper edge of the band, as many as x, or empty
};

/// Title, axes and size of a chart.
struct ChartOptions {
  std::string title{};                ///< may be empty
  std::string x_label{};              ///< may be empty
  std::string y_label{};              ///< may be empty
  bool log_y = false;                 ///< logarithmic y axis; values <= 0 are left out
  std::optional<double> reference{};  ///< y value of a dashed line across the chart
  std::string reference_label{};      ///< label of the dashed line
  int width = 800;                    ///< pixels, 64 to 16384
  int height = 480;                   ///< pixels, 64 to 16384
};

/// Draws the curves as a line chart and writes it as a PNG file, atomically as write_png(). The axes fit the
/// data. Throws Error(invalid_argument) if the vectors of a curve differ in length or a size is out of range,
/// Error(io), or Error(out_of_memory).
PLASTICITY_API void write_chart(const std::filesystem::path& path, std::span<const Curve> curves,
                                const ChartOptions& options = {});

}  // namespace plasticity::io
