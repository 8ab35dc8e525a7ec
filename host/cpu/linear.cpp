#include <algorithm>
#include <vector>

#include "cpu/sweeps/products.hpp"
#include "plan/cpu_training.hpp"

namespace plasticity::cpu {

void linear_forward(const LinearArgs& args) {
  const std::int64_t inputs = args.inputs, outputs = args.outputs;
  for (std::int64_t row = 0; row < args.rows; ++row) std::copy_n(args.bias, outputs, args.y + row * outputs);
  products<float>(instruction_set())
      .multiply(args.rows, outputs, inputs, args.x, inputs, args.weight, outputs, args.y, outputs);
}

void linear_backward(const LinearGradientArgs& args) {
  const std::int64_t rows = args.rows, inputs = args.inputs, outputs = args.outputs;
  const std::int64_t samples = args.batch > 0 ? args.batch : 1, steps = rows / samples;
  const Products<float>& table = products<float>(instruction_set());
  // The rows sample by sample.
  std::vector<const float*> x_rows, dy_rows;
  std::vector<std::int64_t> first_row;
  for (std::int64_t b = 0; b < samples; ++b) {
    first_row.push_back(b * steps);
    for (std::int64_t t = 0; t < steps; ++t) {
      x_rows.push_back(args.x + (t * samples + b) * inputs);
      dy_rows.push_back(args.dy + (t * samples + b) * outputs);
    }
  }
  first_row.push_back(rows);
  table.outer(0, inputs, outputs, samples, first_row.data(), x_rows.data(), dy_rows.data(), 0, args.dweight,
              outputs);
  const float one = 1;
  std::fill(x_rows.begin(), x_rows.end(), &one);
  table.outer(0, 1, outputs, samples, first_row.data(), x_rows.data(), dy_rows.data(), 0, args.dbias,
              outputs);
  if (args.dx == nullptr) return;
  std::vector<float> transposed(static_cast<std::size_t>(inputs * outputs));
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t k = 0; k < outputs; ++k)
      transposed[static_cast<std::size_t>(k * inputs + i)] = args.weight[i * outputs + k];
  }
  std::fill_n(args.dx, rows * inputs, 0.0f);
  table.multiply(rows, inputs, outputs, args.dy, outputs, transposed.data(), inputs, args.dx, inputs);
}

}  // namespace plasticity::cpu
