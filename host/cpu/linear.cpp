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
  const Products<float>& of = products<float>(instruction_set());
  std::vector<const float*> x_rows(static_cast<std::size_t>(rows)), dy_rows(x_rows.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* const dy_row = args.dy + row * outputs;
    for (std::int64_t k = 0; k < outputs; ++k) args.dbias[k] += dy_row[k];
    x_rows[static_cast<std::size_t>(row)] = args.x + row * inputs;
    dy_rows[static_cast<std::size_t>(row)] = dy_row;
  }
  of.outer(0, inputs, outputs, rows, x_rows.data(), dy_rows.data(), 0, args.dweight, outputs);
  if (args.dx == nullptr) return;
  std::vector<float> transposed(static_cast<std::size_t>(inputs * outputs));
  for (std::int64_t i = 0; i < inputs; ++i) {
    for (std::int64_t k = 0; k < outputs; ++k)
      transposed[static_cast<std::size_t>(k * inputs + i)] = args.weight[i * outputs + k];
  }
  std::fill_n(args.dx, rows * inputs, 0.0f);
  of.multiply(rows, inputs, outputs, args.dy, outputs, transposed.data(), inputs, args.dx, inputs);
}

}  // namespace plasticity::cpu
