#include "plasticity/io/chart.hpp"

#include "base/throw_error.hpp"
#include "plasticity/io/png.hpp"
#include "tool/draw/chart.hpp"

namespace plasticity::io {
namespace {

void check(const Curve& curve) {
  const std::string name = str_cat("curve '", curve.name, "' ");
  const std::string expected = str_cat(curve.x.size(), " values, one for each x");
  if (curve.y.size() != curve.x.size()) bad_argument(name + "y", expected, str_cat(curve.y.size()));
  if (curve.low.empty() && curve.high.empty()) return;
  if (curve.low.size() != curve.x.size()) bad_argument(name + "low", expected, str_cat(curve.low.size()));
  if (curve.high.size() != curve.x.size()) bad_argument(name + "high", expected, str_cat(curve.high.size()));
}

void check_side(const char* name, int size) {
  if (size < 64 || size > 16384) bad_argument(name, "64 to 16384 pixels", str_cat(size));
}

}  // namespace

void write_chart(const std::filesystem::path& path, std::span<const Curve> curves,
                 const ChartOptions& options) {
  check_side("options.width", options.width);
  check_side("options.height", options.height);
  std::vector<draw::Series> series;
  for (const Curve& curve : curves) {
    check(curve);
    series.push_back({curve.name, draw::series_colours[series.size() % draw::series_colours.size()], {}});
    for (std::size_t k = 0; k < curve.x.size(); ++k) {
      series.back().points.emplace_back(curve.x[k], curve.y[k]);
      if (!curve.low.empty()) series.back().band.emplace_back(curve.low[k], curve.high[k]);
    }
  }
  draw::ChartOptions drawn{.title = options.title,
                           .x_label = options.x_label,
                           .y_label = options.y_label,
                           .log_y = options.log_y,
                           .reference = {}};
  if (options.reference) drawn.reference = {*options.reference, options.reference_label};
  write_png(path, draw::line_chart(options.width, options.height, series, drawn).image());
}

}  // namespace plasticity::io
