#include "cpu/backward_pass.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::input_gradients(std::int64_t b) const {
  const Inputs<Real>& gradients = args.dinputs;
  const std::int64_t I = spec.inputs, length = length_of(b);
  for (const auto& member : Inputs<Real>::members()) {
    Real* gradient = gradients.*member.pointer;
    if (gradient == nullptr) continue;
    const std::int64_t columns = input_shape(spec, T, B, member.name)->size[2];
    const std::int64_t first = member.name == "x" ? 0 : length;  // dx is accumulated below
    for (std::int64_t t = first; t < T; ++t) std::fill_n(gradient + (t * B + b) * columns, columns, Real(0));
  }
  for (std::int64_t gate = 0; gradients.x != nullptr && length > 0 && gate < spec.gates(); ++gate) {
    plan.products_.multiply(length, I, N, da_of(0, b) + gate * S, width, w_in_transposed + gate * N * I, I,
                            gradients.x + b * I, B * I);
  }
  if (gradients.u != nullptr) {
    const std::int64_t gates = spec.gates();
    for (std::int64_t t = 0; t < length; ++t)
      unpad_rows(da_of(t, b), gates, N, gradients.u + (t * B + b) * gates * N);
  }
}

/// C[rows,N] += sum over all steps of the outer products of `left` and the columns of `right` from
/// `first_column` on.
template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::weight_gradient(Real* c, std::int64_t rows, std::int64_t ldc,
                                                         std::int64_t first_column, const Real* const* left,
                                                         const Real* const* right, std::int64_t count) const {
  constexpr std::int64_t rows_at_once = 32;
  parallel_for(plan.options_.device.threads(), (rows + rows_at_once - 1) / rows_at_once,
               [&](std::int64_t block, int) {
                 const std::int64_t m = block * rows_at_once;
                 plan.products_.outer(m, std::min(rows, m + rows_at_once), N, count, left, right,
                                      first_column, c, ldc);
               });
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::weight_gradients(const Real** left, const Real** right) const {
  const Parameters<Real>& gradients = args.dparameters;
  const std::int64_t I = spec.inputs, gates = spec.gates();
  std::int64_t count = 0;
  const auto list_steps = [&](auto left_of) {
    count = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      const TapeElement<Real, Trace> record = plan.tape_element(tape, b);
      for (std::int64_t t = 0; t < length_of(b); ++t, ++count) {
        left[count] = left_of(record, t, b);
        right[count] = da_of(t, b);
      }
    }
  };
  list_steps([&](const auto& record, std::int64_t t, std::int64_t b) { return pre_of(record, t, b); });
  if (gradients.w != nullptr) weight_gradient(gradients.w, P, N, lstm ? 2 * S : 0, left, right, count);
  if (gradients.w_gates != nullptr) {
    const std::int64_t rows[] = {0, 1, 3};  // i, f and o among the currents
    for (std::int64_t gate = 0; gate < 3; ++gate) {
      weight_gradient(gradients.w_gates + gate * N, N, 3 * N, rows[gate] * S, left, right, count);
    }
  }
  if (gradients.w_in != nullptr) {
    list_steps([&](const auto&, std::int64_t t, std::int64_t b) { return args.inputs.x + (t * B + b) * I; });
    for (std::int64_t gate = 0; gate < gates; ++gate) {
      weight_gradient(gradients.w_in + gate * N, I, gates * N, gate * S, left, right, count);
    }
  }
  for (std::int64_t k = 0; gradients.b != nullptr && k < count; ++k) {
    for (std::int64_t gate = 0; gate < gates; ++gate) {
      for (std::int64_t j = 0; j < N; ++j) gradients.b[gate * N + j] += right[k][gate * S + j];
    }
  }
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::group_gradients() const {
  const Parameters<Real>& gradients = args.dparameters;
  const auto add = [](Real* to, const Real* from, std::int64_t count) {
    for (std::int64_t k = 0; to != nullptr && k < count; ++k) to[k] += from[k];
  };
  const auto add_total = [](Real* to, const Real* from, std::int64_t count) {
    if (to == nullptr) return;
    Real total = 0;
    for (std::int64_t k = 0; k < count; ++k) total += from[k];
    *to += total;
  };
  for (std::int64_t g = 0; g < plan.groups(); ++g) {
    const GroupSums<Real> group = sums_of(g);
    if (spec.alpha == Granularity::scalar) {
      add_total(gradients.alpha, group.alpha, N);
    } else {
      const std::int64_t rows = spec.alpha == Granularity::connection ? P : 1;
      for (std::int64_t i = 0; i < rows; ++i) add(at(gradients.alpha, i * N), group.alpha + i * S, N);
    }
    add_total(gradients.eta, group.eta, N);
    add(gradients.modulator_weight, group.modulator_weight, N);
    add(gradients.modulator_bias, group.modulator_bias, 1);
    add(gradients.fan_out_weight, group.fan_out_weight, N);
    add(gradients.fan_out_bias, group.fan_out_bias, N);
  }
}

#define PLASTICITY_INSTANTIATE(Real, Trace)                                                             \
  template void CpuPlan<Real, Trace>::BackwardPass::input_gradients(std::int64_t) const;                \
  template void CpuPlan<Real, Trace>::BackwardPass::weight_gradients(const Real**, const Real**) const; \
  template void CpuPlan<Real, Trace>::BackwardPass::group_gradients() const;
PLASTICITY_INSTANTIATE(float, float)
PLASTICITY_INSTANTIATE(double, double)
PLASTICITY_INSTANTIATE(float, Bfloat16)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity::cpu
