#include "cpu/backward_pass.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::weight_gradients(const StepList<Real>& list) const {
  WeightGradients<Real>{plan.products_, plan.options_.device.threads(), B, N, list}.add_all(
      spec, args.dparameters, args.inputs.x, [&](std::int64_t b) { return length_of(b); },
      [&](std::int64_t b) {
        return
            [this, record = plan.tape_element(tape, b), b](std::int64_t t) { return pre_of(record, t, b); };
      },
      [&](std::int64_t t, std::int64_t b) { return da_of(t, b); });
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::add_columns(const ElementSums<Real>& element) const {
  const auto add = [&](Real* columns) {
    Real total = 0;
    for (std::int64_t j = 0; j < N; ++j) total += columns[j];
    std::fill_n(columns, S, Real(0));
    columns[0] = total;
  };
  add(element.eta);
  if (spec.alpha == Granularity::scalar) add(element.alpha);
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::group_gradients() const {
  if (plan.groups() == 0) return;
  // Threads add ranges of the sums.
  constexpr std::int64_t at_once = 4096;
  const ElementSums<Real> total = sums_at(0);
  parallel_for(plan.options_.device.threads(), (total.elements + at_once - 1) / at_once,
               [&](std::int64_t block, int) {
                 const std::int64_t begin = block * at_once, end = std::min(begin + at_once, total.elements);
                 add_in_tree(0, plan.groups(), [&](std::int64_t to, std::int64_t from) {
                   Real* const sum = sums_at(to).eta;
                   const Real* const other = sums_at(from).eta;
                   for (std::int64_t k = begin; k < end; ++k) sum[k] += other[k];
                 });
               });
  const Parameters<Real>& gradients = args.dparameters;
  const auto add = [](Real* to, const Real* from, std::int64_t count) {
    for (std::int64_t k = 0; to != nullptr && k < count; ++k) to[k] += from[k];
  };
  if (spec.alpha == Granularity::connection) {
    for (std::int64_t i = 0; gradients.alpha != nullptr && i < P; ++i)
      add(gradients.alpha + i * N, total.alpha + i * S, N);
  } else {
    add(gradients.alpha, total.alpha, spec.alpha == Granularity::scalar ? 1 : N);
  }
  add(gradients.eta, total.eta, 1);
  add(gradients.modulator_weight, total.modulator_weight, N);
  add(gradients.modulator_bias, total.modulator_bias, 1);
  add(gradients.fan_out_weight, total.fan_out_weight, N);
  add(gradients.fan_out_bias, total.fan_out_bias, N);
}

#define PLASTICITY_INSTANTIATE(Real, Trace)                                                        \
  template void CpuPlan<Real, Trace>::BackwardPass::weight_gradients(const StepList<Real>&) const; \
  template void CpuPlan<Real, Trace>::BackwardPass::add_columns(const ElementSums<Real>&) const;   \
  template void CpuPlan<Real, Trace>::BackwardPass::group_gradients() const;
PLASTICITY_INSTANTIATE(float, float)
PLASTICITY_INSTANTIATE(double, double)
PLASTICITY_INSTANTIATE(float, Bfloat16)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity::cpu
