#include "cuda/gradients.hpp"

#include "cuda/runtime.hpp"
#include "reduce/launch.hpp"
#include "rules/rules.hpp"

namespace plasticity::cuda {

const float* CudaPlan::ParameterGradients::counted(const Left& left) const {
  const Problem& p = step.problem;
  if (p.length == nullptr && left.reset == nullptr) return left.rows;
  launch_counted_rows({.T = p.T,
                       .B = p.B,
                       .width = left.width,
                       .in = left.rows,
                       .length = p.length,
                       .reset = left.reset,
                       .out = memory.counted},
                      stream);
  return memory.counted;
}

void CudaPlan::ParameterGradients::add_product(const Blas& blas, const Left& left, const float* rows,
                                               std::int64_t first, std::int64_t columns, float* sums,
                                               std::int64_t stride) const {
  blas.add_product({.rows = left.width,
                    .columns = columns,
                    .depth = step.problem.T * step.problem.B,
                    .a = rows,
                    .b = memory.da + first,
                    .b_stride = spec.gates() * step.problem.N,
                    .c = sums,
                    .c_stride = stride});
}

void CudaPlan::ParameterGradients::add_weights() const {
  const Problem& p = step.problem;
  const Parameters<float>& gradients = args.dparameters;
  if (p.T == 0) return;
  if (gradients.w == nullptr && gradients.w_gates == nullptr && gradients.w_in == nullptr) return;
  const Blas blas(handle, stream, memory.blas);
  if (gradients.w != nullptr || gradients.w_gates != nullptr) {
    // x of step t: what the network showed before it, zero after a reset; or what was given.
    const Left x = spec.is_recurrent() ? Left{step.record.shown.base, p.P, p.reset}
                                       : Left{args.inputs.pre, p.P, nullptr};
    const float* rows = counted(x);
    if (gradients.w != nullptr) add_product(blas, x, rows, p.lstm ? 2 * p.N : 0, p.N, gradients.w, p.N);
    if (gradients.w_gates != nullptr) {  // ā stands in the order i f g o, W_gates has i f o
      add_product(blas, x, rows, 0, 2 * p.N, gradients.w_gates, 3 * p.N);
      add_product(blas, x, rows, 3 * p.N, p.N, gradients.w_gates + 2 * p.N, 3 * p.N);
    }
  }
  if (gradients.w_in != nullptr) {
    const Left input{args.inputs.x, spec.inputs, nullptr};
    const std::int64_t width = spec.gates() * p.N;
    add_product(blas, input, counted(input), 0, width, gradients.w_in, width);
  }
}

void CudaPlan::ParameterGradients::add_columns(const float* values, std::int64_t rows, std::int64_t columns,
                                               float* sums) const {
  launch_column_sums({values, rows, columns, sums}, memory.reducing, memory.reducing_bytes, stream);
}

void CudaPlan::ParameterGradients::add_alpha(bool bf16) const {
  const Problem& p = step.problem;
  float* alpha = args.dparameters.alpha;
  if (alpha == nullptr) return;
  if (spec.alpha == Granularity::scalar) return add_columns(memory.alpha, p.B * p.N, 1, alpha);
  if (spec.alpha == Granularity::post) return add_columns(memory.alpha, p.B, p.N, alpha);
  const Replay replay{.problem = p,
                      .record = step.record,
                      .da = memory.da,
                      .width = spec.gates() * p.N,
                      .da_column = p.lstm ? 2 * p.N : 0,
                      .groups = memory.groups,
                      .partial = memory.partial};
  with_rule(spec.rule, AllRules{}, [&]<Rule rule> { launch_replay<rule>(replay, bf16, stream); });
  launch_add_groups(replay, alpha, stream);
}

void CudaPlan::ParameterGradients::add_vectors() const {
  const Problem& p = step.problem;
  const Parameters<float>& gradients = args.dparameters;
  if (gradients.b != nullptr) {
    const std::int64_t width = spec.gates() * p.N;
    add_columns(memory.da, p.T * p.B, width, gradients.b);
  }
  if (gradients.eta != nullptr) add_columns(memory.eta, p.B * p.N, 1, gradients.eta);
  if (gradients.modulator_weight != nullptr) {
    add_columns(memory.v, p.B, p.N, gradients.modulator_weight);
  }
  if (gradients.modulator_bias != nullptr) add_columns(memory.v0, p.B, 1, gradients.modulator_bias);
  if (gradients.fan_out_weight != nullptr) {
    add_columns(memory.fan, p.B, p.N, gradients.fan_out_weight);
  }
  if (gradients.fan_out_bias != nullptr) {
    add_columns(memory.fan_bias, p.B, p.N, gradients.fan_out_bias);
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
                  .c = gradients.x},
                 stream);
}

}  // namespace plasticity::cuda
