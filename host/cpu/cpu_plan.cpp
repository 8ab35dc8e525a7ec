#include "cpu/cpu_plan.hpp"

#include "cpu/nonplastic_plan.hpp"

#include "base/throw_error.hpp"
#include "plan/checkpoints.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
CpuPlan<Real, Trace>::CpuPlan(const Spec& spec, const PlanOptions& options, ElementOrder order)
    : spec_(spec),
      options_(options),
      order_(order),
      sweeps_(sweeps<Real>(instruction_set())),
      cell_functions_(cell_functions<Real>(instruction_set())),
      products_(products<Real>(instruction_set())),
      interval_(choose_interval()),
      forward_space_bytes_(forward_space_bytes()),
      step_state_element_bytes_(step_state_element_bytes()),
      tape_bytes_(tape_bytes_with(interval_)),
      scratch_bytes_(std::max(forward_scratch_bytes(), backward_scratch_bytes())),
      step_state_bytes_(step_state_element_bytes_ * static_cast<std::size_t>(options.batch)) {}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::tape_element_bytes(std::int64_t interval) const {
  StaggeredArena counter(nullptr);
  TapeElement<Real, Trace>(spec_, options_.steps, interval, counter);
  return counter.bytes();
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::tape_bytes_with(std::int64_t interval) const {
  const std::size_t elements = tape_element_bytes(interval) * static_cast<std::size_t>(options_.batch);
  return elements == 0 ? 0 : sizeof(TapeHeader) + elements;
}

template <class Real, class Trace>
TapeElement<Real, Trace> CpuPlan<Real, Trace>::tape_element(Tape tape, std::int64_t b) const {
  StaggeredArena arena(static_cast<std::byte*>(tape.data) + sizeof(TapeHeader) +
                       static_cast<std::size_t>(b) * tape_element_bytes(interval_));
  return TapeElement<Real, Trace>(spec_, options_.steps, interval_, arena);
}

template <class Real, class Trace>
std::int64_t CpuPlan<Real, Trace>::choose_interval() const {
  return choose_checkpoint_interval(spec_.rule, options_,
                                    [&](std::int64_t interval) { return tape_bytes_with(interval); });
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu

namespace plasticity {

std::shared_ptr<const Backend> make_cpu_backend(const Spec& spec, const PlanOptions& options) {
  if (!spec.is_plastic()) {
    if (options.precision == Precision::f64)
      return std::make_shared<cpu::NonplasticPlan<double>>(spec, options);
    return std::make_shared<cpu::NonplasticPlan<float>>(spec, options);  // no traces, so bf16 is f32
  }
  switch (options.precision) {
    case Precision::f64: return std::make_shared<cpu::CpuPlan<double, double>>(spec, options);
    case Precision::f32: return std::make_shared<cpu::CpuPlan<float, float>>(spec, options);
    case Precision::bf16: return std::make_shared<cpu::CpuPlan<float, cpu::Bfloat16>>(spec, options);
  }
  bad_argument("options.precision", "f64, f32 or bf16", str_cat(static_cast<int>(options.precision)));
}

}  // namespace plasticity
