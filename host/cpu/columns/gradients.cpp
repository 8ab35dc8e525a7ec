#include "cpu/columns/backward_pass.hpp"

// Gradients of parameters and inputs that are sums over the steps.
namespace plasticity::cpu {

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::add_modulator_gradients() const {
  if (!modulated || B == 0) return;
  add_in_tree(0, B, [&](std::int64_t to, std::int64_t from) {
    for (std::int64_t k = 0; k < 3 * n + 1; ++k) sums_of(to)[k] += sums_of(from)[k];
  });
  const Real* const total = sums_of(0);
  const auto add = [](Real* to, const Real* from, std::int64_t count) {
    for (std::int64_t k = 0; to != nullptr && k < count; ++k) to[k] += from[k];
  };
  const Parameters<Real>& gradients = args.dparameters;
  add(gradients.modulator_weight, total, n);
  add(gradients.fan_out_weight, total + n, n);
  add(gradients.fan_out_bias, total + 2 * n, n);
  add(gradients.modulator_bias, total + 3 * n, 1);
}

template <class Real, class Trace>
template <class Left>
void ColumnLayer<Real, Trace>::BackwardPass::add_outer(Real* to, std::int64_t rows, std::int64_t stride,
                                                       Real* dcurrents, std::int64_t gate,
                                                       const Left& left_of) const {
  const WeightGradients<Real> sums{layer.products_, layer.options_.device.threads(), B, n, memory.list};
  sums.set([&](std::int64_t b) { return layer.length_of(args.masks, b); },
           [&](std::int64_t b) { return [&, b](std::int64_t t) { return left_of(t * B + b); }; },
           [&](std::int64_t t, std::int64_t b) {
             return layer.gate_row(dcurrents, memory.gates, t * B + b, gate);
           });
  sums.add(to, rows, stride, 0);
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::reverse_currents(Real* dcurrents) const {
  const Parameters<Real>& gradients = args.dparameters;
  const std::int64_t gates = spec.gates();
  const Real one = 1;
  for (std::int64_t gate = 0; gate < gates; ++gate) {
    if (gradients.w_in != nullptr) {
      add_outer(gradients.w_in + gate * n, I, gates * n, dcurrents, gate,
                [&](std::int64_t row) { return args.inputs.x + row * I; });
    }
    if (gradients.b != nullptr)
      add_outer(gradients.b + gate * n, 1, gates * n, dcurrents, gate, [&](std::int64_t) { return &one; });
  }
  for (std::int64_t gate = 0; lstm && gradients.w_gates != nullptr && gate < 3; ++gate) {
    add_outer(gradients.w_gates + gate * n, N, 3 * n, dcurrents, rows_of_gates[gate],
              [&](std::int64_t row) { return recording.record.pre + row * N; });
  }
  for (std::int64_t row = 0; lstm && args.dinputs.u != nullptr && row < T * B; ++row) {
    for (std::int64_t gate = 0; gate < gates; ++gate)
      std::copy_n(layer.gate_row(dcurrents, memory.gates, row, gate), n,
                  args.dinputs.u + (row * gates + gate) * n);
  }
  if (args.dinputs.x != nullptr) reverse_inputs(dcurrents);
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::BackwardPass::reverse_inputs(Real* dcurrents) const {
  const std::int64_t gates = spec.gates();
  transpose(args.parameters.w_in, memory.transposed, I, gates * n);
  constexpr std::int64_t at_once = 16;
  parallel_for(
      layer.options_.device.threads(), (T * B + at_once - 1) / at_once, [&](std::int64_t block, int) {
        const std::int64_t first = block * at_once, rows = std::min(at_once, T * B - first);
        Real* const dx = args.dinputs.x + first * I;
        std::fill_n(dx, rows * I, Real(0));
        for (std::int64_t gate = 0; gate < gates; ++gate) {
          layer.products_.multiply(rows, I, n, layer.gate_row(dcurrents, memory.gates, first, gate),
                                   layer.gate_stride(gate), memory.transposed + gate * n * I, I, dx, I);
        }
      });
  layer.sum_over_ranks(std::span(args.dinputs.x, static_cast<std::size_t>(T * B * I)));
}

#define PLASTICITY_INSTANTIATE(Real, Trace)                                              \
  template void ColumnLayer<Real, Trace>::BackwardPass::add_modulator_gradients() const; \
  template void ColumnLayer<Real, Trace>::BackwardPass::reverse_currents(Real*) const;
PLASTICITY_INSTANTIATE(float, float)
PLASTICITY_INSTANTIATE(double, double)
PLASTICITY_INSTANTIATE(float, Bfloat16)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity::cpu
