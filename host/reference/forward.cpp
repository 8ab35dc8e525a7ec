#include "check/arguments.hpp"
#include "plasticity/reference.hpp"
#include "reference/trajectory.hpp"

namespace plasticity::reference {

template <class Real>
void forward(const Spec& spec, std::int64_t steps, std::int64_t batch, const ForwardArgs<Real>& args) {
  check_sizes(spec, steps, batch);
  check_forward(spec, steps, batch, args);
  check_lengths(steps, batch, args.masks.length);
  const ReferenceArgs<Real> shared{
      spec, steps, batch, args.parameters, args.inputs, args.masks, args.initial_state};
  const std::int64_t N = spec.neurons, P = spec.presynaptic();

  for (std::int64_t b = 0; b < batch; ++b) {
    const Trajectory<Real> trajectory = simulate(shared, b);
    const auto length = static_cast<std::int64_t>(trajectory.steps.size());
    for (std::int64_t t = 0; t < steps; ++t) {
      const StepRecord<Real>* step = t < length ? &trajectory.steps[static_cast<std::size_t>(t)] : nullptr;
      for (std::int64_t j = 0; j < N; ++j) {
        const std::int64_t index = (t * batch + b) * N + j;
        args.y[index] = step ? step->output[static_cast<std::size_t>(j)] : Real(0);
        if (args.a != nullptr) args.a[index] = step ? step->current[static_cast<std::size_t>(j)] : Real(0);
      }
      if (args.modulation != nullptr) args.modulation[t * batch + b] = step ? step->modulation : Real(0);
    }
    store(trajectory.y, args.final_state.y, b * N);
    store(trajectory.c, args.final_state.c, b * N);
    store(trajectory.hebb, args.final_state.hebb, b * P * N);
    store(trajectory.eligibility, args.final_state.eligibility, b * P * N);
  }
}

template void forward<float>(const Spec&, std::int64_t, std::int64_t, const ForwardArgs<float>&);
template void forward<double>(const Spec&, std::int64_t, std::int64_t, const ForwardArgs<double>&);
template void forward<std::complex<double>>(const Spec&, std::int64_t, std::int64_t,
                                            const ForwardArgs<std::complex<double>>&);

}  // namespace plasticity::reference
