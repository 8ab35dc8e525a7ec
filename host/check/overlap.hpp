#pragma once

#include "model/shapes.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/plan.hpp"

// Checks for overlapping memory. An output must not overlap any other tensor of the call, or the result would
// depend on evaluation order. Exceptions: final_state may alias initial_state, and dinitial_state may alias
// dfinal_state.
namespace plasticity {

/// Throw Error(invalid_argument) whose message names both tensors. They compare addresses and do not read
/// memory.
template <class Real>
void check_overlap(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                   const ForwardArgs<Real>& args, const Memory& tape, const Memory& scratch);
template <class Real>
void check_overlap(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                   const BackwardArgs<Real>& args, const Memory& tape, const Memory& scratch);
template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args, const Memory& step_state,
                   const Memory& scratch);
template <class Real>
void check_overlap(const Spec& spec, std::int64_t batch, const State<Real>& state, const Memory& step_state);

}  // namespace plasticity
