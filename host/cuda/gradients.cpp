#include "cuda/gradients.hpp"

#include "cuda/runtime.hpp"
#include "reduce/launch.hpp"
#include "rules/rules.hpp"

namespace plasticity::cuda {

void CudaPlan::ParameterGradients::add_product(const Left& left, std::int64_t first_column,
                                               std::int64_t columns, std::int64_t parts, float* sums,
                                               std::int64_t stride) const {
  const Problem& p = step.problem;
  if (p.T == 0) return;
  const std::int64_t width = spec.gates() * p.N;
  launch_product({.M = left.rows,
                  .N = columns,
                  .K = p.T * p.B,
                  .a = left.matrix,
                  .b = {memory.da + first_column, width, 1},
                  .bias = nullptr,
                  .c = memory.parts,
                  .parts = parts,
                  .length = p.length,
                  .reset = left.reset,
                  .B = p.B},
                 stream);
  add_matrices(memory.parts, parts, left.rows, columns, sums, stride, stream);
}

void CudaPlan::ParameterGradients::add_weights() const {
  const Problem& p = step.problem;
  const Parameters<float>& gradients = args.dparameters;
  // x of step t: what the network showed before it, zero after a reset; or what was given.
  const Left pre = spec.is_recurrent() ? Left{{step.record.shown.base, 1, p.N}, p.P, p.reset}
                                       : Left{{args.inputs.pre, 1, p.P}, p.P, nullptr};
  if (gradients.w != nullptr) {
    add_product(pre, p.lstm ? 2 * p.N : 0, p.N, memory.weight_parts, gradients.w, p.N);
  }
  if (gradients.w_gates != nullptr) {
    add_product(pre, 0, 2 * p.N, memory.gate_parts, gradients.w_gates, 3 * p.N);
    add_product(pre, 3 * p.N, p.N, memory.weight_parts, gradients.w_gates + 2 * p.N, 3 * p.N);
  }
  if (gradients.w_in != nullptr) {
    const Left x{{args.inputs.x, 1, spec.inputs}, spec.inputs, nullptr};
    const std::int64_t width = spec.gates() * p.N;
    add_product(x, 0, width, memory.input_parts, gradients.w_in, width);
  }
}

void CudaPlan::ParameterGradients::add_alpha(bool bf16) const {
  const Problem& p = step.problem;
  float* alpha = args.dparameters.alpha;
  if (alpha == nullptr) return;
  if (spec.alpha == Granularity::scalar) return add_total(memory.alpha, p.B * p.N, alpha, stream);
  if (spec.alpha == Granularity::post) return add_columns(memory.alpha, p.B, p.N, alpha, stream);
  const Replay replay{.problem = p,
                      .record = step.record,
                      .da = memory.da,
                      .width = spec.gates() * p.N,
                      .da_column = p.lstm ? 2 * p.N : 0,
                      .groups = memory.groups,
                      .partial = memory.parts};
  with_rule(spec.rule, AllRules{}, [&]<Rule rule> { launch_replay<rule>(replay, bf16, stream); });
  add_columns(memory.parts, memory.groups, p.P * p.N, alpha, stream);
}

void CudaPlan::ParameterGradients::add_vectors() const {
  const Problem& p = step.problem;
  const Parameters<float>& gradients = args.dparameters;
  if (gradients.b != nullptr) {
    const std::int64_t width = spec.gates() * p.N;
    add_columns(memory.da, p.T * p.B, width, gradients.b, stream);
  }
  if (gradients.eta != nullptr) add_total(memory.eta, p.B * p.N, gradients.eta, stream);
  if (gradients.modulator_weight != nullptr) {
    add_columns(memory.v, p.B, p.N, gradients.modulator_weight, stream);
  }
  if (gradients.modulator_bias != nullptr) add_total(memory.v0, p.B, gradients.modulator_bias, stream);
  if (gradients.fan_out_weight != nullptr) {
    add_columns(memory.fan, p.B, p.N, gradients.fan_out_weight, stream);
  }
  if (gradients.fan_out_bias != nullptr) {
    add_columns(memory.fan_bias, p.B, p.N, gradients.fan_out_bias, stream);
  }
}

void CudaPlan::ParameterGradients::write_inputs() const {
  const Problem& p = step.problem;
  const Inputs<float>& gradients = args.dinputs;
  const std::int64_t rows = p.T * p.B, width = spec.gates() * p.N;
  if (gradients.u != nullptr && rows > 0) {
    check(cudaMemcpyAsync(gradients.u, memory.da, sizeof(float) * static_cast<std::size_t>(rows * p.N),
                          cudaMemcpyDeviceToDevice, stream),
          "cudaMemcpyAsync");
  }
  if (gradients.x == nullptr) return;
  launch_product({.M = rows,
                  .N = spec.inputs,
                  .K = width,
                  .a = {memory.da, width, 1},
                  .b = {args.parameters.w_in, 1, width},
                  .bias = nullptr,
                  .c = gradients.x,
                  .parts = 1},
                 stream);
}

}  // namespace plasticity::cuda
