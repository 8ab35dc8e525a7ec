// Linear::forward and backward at the sizes of a readout over a vocabulary.
#include <benchmark/benchmark.h>

#include <vector>

#include "plasticity/linear.hpp"

namespace {

struct Layer {
  static constexpr std::int64_t inputs = 200, outputs = 5000, rows = 3000;
  plasticity::Linear linear{inputs, outputs, 1};
  std::vector<float> x = std::vector<float>(inputs * rows, .5f), dx = std::vector<float>(inputs * rows),
                     y = std::vector<float>(outputs * rows), dy = std::vector<float>(outputs * rows, .25f);
};

void forward(benchmark::State& state) {
  Layer layer;
  for (auto _ : state) layer.linear.forward(layer.x, layer.y);
}
void backward(benchmark::State& state) {
  Layer layer;
  for (auto _ : state) layer.linear.backward(layer.x, layer.dy, {});
}
void backward_with_dx(benchmark::State& state) {
  Layer layer;
  for (auto _ : state) layer.linear.backward(layer.x, layer.dy, layer.dx);
}
BENCHMARK(forward)->Unit(benchmark::kMillisecond);
BENCHMARK(backward)->Unit(benchmark::kMillisecond);
BENCHMARK(backward_with_dx)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
