// Draws a chart of curves: bench_chart DATA.json PICTURE.png. bench/suite/report.py and
// examples/papers/table.py write the data. A point is [x, y], or [x, y, low, high] for a curve with a band.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "plasticity/io/png.hpp"
#include "tool/draw/chart.hpp"

namespace {

using namespace plasticity;

void draw_chart(const char* data_file, const char* picture) {
  std::ifstream file(data_file);
  const nlohmann::json data = nlohmann::json::parse(file);
  std::vector<draw::Curve> curves;
  std::size_t contenders = 0;
  for (const auto& each : data.at("series")) {
    draw::Curve& curve = curves.emplace_back();
    curve.name = each.at("name");
    for (const auto& point : each.at("points").get<std::vector<std::vector<double>>>()) {
      curve.x.push_back(point.at(0));
      curve.y.push_back(point.at(1));
      if (point.size() == 2) continue;
      curve.low.push_back(point.at(2));
      curve.high.push_back(point.at(3));
    }
    curve.colour = curve.name == "floor" ? draw::muted
                                         : draw::series_colours[contenders++ % draw::series_colours.size()];
  }
  std::optional<draw::Reference> reference;
  if (data.contains("reference")) {
    reference = {data["reference"].at("y"), data["reference"].at("label").get<std::string>()};
  }
  io::write_png(picture, draw::line_chart(curves, {.title = data.at("title"),
                                                   .x_label = data.at("x_label"),
                                                   .y_label = data.at("y_label"),
                                                   .log_x = data.value("log_x", true),
                                                   .log_y = data.value("log_y", true),
                                                   .reference = reference,
                                                   .scale = data.value("scale", 2)}));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_chart DATA.json PICTURE.png\n");
    return 2;
  }
  if constexpr (!draw::available) {
    std::fprintf(stderr, "bench_chart: %s\n", draw::unavailable_reason);
    return 3;
  } else {
    try {
      draw_chart(argv[1], argv[2]);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "bench_chart: %s\n", error.what());
      return 1;
    }
  }
  return 0;
}
