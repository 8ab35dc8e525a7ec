// Draws a chart of bench/run: bench_chart DATA.json PICTURE.png, the data as bench/suite/report.py makes
// them.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "plasticity/error.hpp"
#include "tool/draw/chart.hpp"

namespace {

using namespace plasticity;

void draw_chart(const char* from, const char* to) {
  std::ifstream file(from);
  const nlohmann::json data = nlohmann::json::parse(file);
  std::vector<draw::Series> series;
  std::size_t colour = 0;
  for (const auto& each : data.at("series")) {
    const std::string name = each.at("name");
    const bool floor = name == "floor";
    series.push_back({name, floor ? draw::muted : draw::series_colours[colour % draw::series_colours.size()],
                      each.at("points").get<std::vector<std::pair<double, double>>>()});
    if (!floor) ++colour;
  }
  const draw::ChartOptions options{.title = data.at("title"),
                                   .x_label = data.at("x_label"),
                                   .y_label = data.at("y_label"),
                                   .log_x = true,
                                   .log_y = true,
                                   .reference = {},
                                   .scale = 2};
  io::write_png(to, draw::line_chart(1400, 900, series, options).image());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_chart DATA.json PICTURE.png\n");
    return 2;
  }
  try {
    draw_chart(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_chart: %s\n", error.what());
    return 1;
  }
  return 0;
}
