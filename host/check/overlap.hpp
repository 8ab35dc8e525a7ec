#pragma once

#include "plasticity/arguments.hpp"
#include "plasticity/plan.hpp"

// What a call writes may not lie in the memory of another of its tensors: the answer would depend on the
// order of the work. The exceptions stand in arguments.hpp: a final state in place of the initial one, and
// their gradients.
namespace plasticity {

/// Each throws Error(invalid_argument) that names both. Addresses are compared, whatever memory they are in.
template <class Real>
void check_overlap(const Spec& spec, std::int64_t steps, std::int64_t batch, const ForwardArgs<Real>& args,
                   const Memory& tape, const Memory& scratch);
template <class Real>
void check_overlap(const Spec& spec, std::int64_t steps, std::int64_t batch, const BackwardArgs<Real>& args,
                   const Memory& tape, const Memory& scratch);
template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args, const Memory& step_state,
                   const Memory& scratch);
template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const State<Real>& state, const Memory& step_state);

}  // namespace plasticity
