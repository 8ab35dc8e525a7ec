#include "cpu/cpu_plan.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
void CpuPlan<Real, Trace>::input_currents(const Parameters<const Real>& parameters,
                                          const Inputs<const Real>& inputs, std::int64_t b, std::int64_t t0,
                                          std::int64_t count, Real* currents) const {
  const std::int64_t N = spec_.neurons, S = padded<Real>(N), gates = spec_.gates(), B = options_.batch;
  const std::int64_t I = spec_.inputs;
  const bool projected = spec_.is_recurrent() && I > 0;
  for (std::int64_t t = 0; t < count; ++t) {
    const Real* const rows = projected ? parameters.b : at(inputs.u, ((t0 + t) * B + b) * gates * N);
    for (std::int64_t gate = 0; gate < gates; ++gate) {
      Real* const current = currents + (t * gates + gate) * S;
      const std::int64_t copied = rows == nullptr ? 0 : N;
      copy_vector(rows + gate * copied, copied, current);
      for (std::int64_t j = copied; j < S; ++j) current[j] = 0;
    }
  }
  if (projected && inputs.u != nullptr) {
    for (std::int64_t t = 0; t < count; ++t) {
      for (std::int64_t gate = 0; gate < gates; ++gate) {
        const Real* u = inputs.u + (((t0 + t) * B + b) * gates + gate) * N;
        Real* sums = currents + (t * gates + gate) * S;
        for (std::int64_t j = 0; j < N; ++j) sums[j] += u[j];
      }
    }
  }
  for (std::int64_t gate = 0; projected && gate < gates; ++gate) {
    products_.multiply(count, N, I, inputs.x + (t0 * B + b) * I, B * I, parameters.w_in + gate * N, gates * N,
                       currents + gate * S, gates * S);
  }
}

// NOLINTBEGIN(bugprone-macro-parentheses): a type cannot be in parentheses.
#define PLASTICITY_INSTANTIATE(Real, Trace)                                                                 \
  template void CpuPlan<Real, Trace>::input_currents(const Parameters<const Real>&,                         \
                                                     const Inputs<const Real>&, std::int64_t, std::int64_t, \
                                                     std::int64_t, Real*) const;
PLASTICITY_INSTANTIATE(float, float)
PLASTICITY_INSTANTIATE(double, double)
PLASTICITY_INSTANTIATE(float, Bfloat16)
#undef PLASTICITY_INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace plasticity::cpu
