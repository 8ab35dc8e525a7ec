#include "cuda/gradients.hpp"

#include "cuda/runtime.hpp"
#include "reduce/launch.hpp"

namespace plasticity::cuda {

const float* CudaPlan::ParameterGradients::masked_lhs(const Lhs& lhs) const {
  const StepParams& p = step.params;
  if (p.length == nullptr && lhs.reset == nullptr) return lhs.rows;
  launch_masked_rows({.T = p.T,
                      .B = p.B,
                      .width = lhs.width,
                      .in = lhs.rows,
                      .length = p.length,
                      .reset = lhs.reset,
                      .out = memory.masked_lhs},
                     stream);
  return memory.masked_lhs;
}

void CudaPlan::ParameterGradients::add_product(const Blas& blas, const Lhs& lhs, const float* rows,
                                               std::int64_t first, std::int64_t columns, float* sums,
                                               std::int64_t stride) const {
  blas.add_product({.rows = lhs.width,
                    .columns = columns,
                    .depth = step.params.T * step.params.B,
                    .a = rows,
                    .b = memory.da + first,
                    .b_stride = spec.gates() * step.params.N,
                    .c = sums,
                    .c_stride = stride});
}

void CudaPlan::ParameterGradients::add_weights() const {
  const StepParams& p = step.params;
  const Parameters<float>& gradients = args.dparameters;
  if (p.T == 0) return;
  if (gradients.w == nullptr && gradients.w_gates == nullptr && gradients.w_in == nullptr) return;
  const Blas blas(handle, stream, memory.blas);
  if (gradients.w != nullptr || gradients.w_gates != nullptr) {
    // x of step t: the output of step t − 1, zero after a reset; in a feedforward cell the input.
    const Lhs x =
        spec.is_recurrent() ? Lhs{step.record.output.base, p.P, p.reset} : Lhs{args.inputs.pre, p.P, nullptr};
    const float* rows = masked_lhs(x);
    if (gradients.w != nullptr) add_product(blas, x, rows, p.lstm ? 2 * p.N : 0, p.N, gradients.w, p.N);
    if (gradients.w_gates != nullptr) {  // the order of ā is i f g o, of W_gates i f o
      add_product(blas, x, rows, 0, 2 * p.N, gradients.w_gates, 3 * p.N);
      add_product(blas, x, rows, 3 * p.N, p.N, gradients.w_gates + 2 * p.N, 3 * p.N);
    }
  }
  if (gradients.w_in != nullptr) {
    const Lhs input{args.inputs.x, spec.inputs, nullptr};
    const std::int64_t width = spec.gates() * p.N;
    add_product(blas, input, masked_lhs(input), 0, width, gradients.w_in, width);
  }
}

void CudaPlan::ParameterGradients::add_alpha(const Variant& tape) const {
  const StepParams& p = step.params;
  float* alpha = args.dparameters.alpha;
  if (alpha == nullptr || spec.alpha != Granularity::connection) return;
  const Replay replay{.params = p,
                      .record = step.record,
                      .da = memory.da,
                      .width = spec.gates() * p.N,
                      .da_column = p.lstm ? 2 * p.N : 0,
                      .groups = memory.groups,
                      .partial = memory.partial};
  if (!memory.alpha_is_summed) kernels.launch_replay(replay, tape, stream);
  launch_add_groups(replay, alpha, stream);
}

void CudaPlan::ParameterGradients::add_vectors() const {
  const StepParams& p = step.params;
  const Parameters<float>& gradients = args.dparameters;
  SumList list;
  // `total`: a sum over the columns too.
  const auto add = [&](float* sums, const float* values, std::int64_t rows, std::int64_t columns,
                       bool total) {
    if (sums != nullptr) list.add({values, rows, columns, sums, total});
  };
  if (spec.alpha != Granularity::connection)
    add(gradients.alpha, memory.alpha, p.B, p.N, spec.alpha == Granularity::scalar);
  add(gradients.b, memory.da, p.T * p.B, spec.gates() * p.N, /*total=*/false);
  add(gradients.eta, memory.eta, p.B, p.N, /*total=*/true);
  add(gradients.modulator_weight, memory.v, p.B, p.N, /*total=*/false);
  add(gradients.modulator_bias, memory.v0, p.B, 1, /*total=*/false);
  add(gradients.fan_out_weight, memory.fan, p.B, p.N, /*total=*/false);
  add(gradients.fan_out_bias, memory.fan_bias, p.B, p.N, /*total=*/false);
  launch_sums(list, stream);
}

void CudaPlan::ParameterGradients::write_inputs() const {
  const StepParams& p = step.params;
  const Inputs<float>& gradients = args.dinputs;
  const std::int64_t rows = p.T * p.B, width = spec.gates() * p.N;
  if (gradients.u != nullptr && rows > 0) {
    check(cudaMemcpyAsync(gradients.u, memory.da, sizeof(float) * static_cast<std::size_t>(rows * width),
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
                  .addend = nullptr,
                  .c = gradients.x},
                 stream);
}

}  // namespace plasticity::cuda
