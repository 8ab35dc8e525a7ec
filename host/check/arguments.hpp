#pragma once

#include "plasticity/arguments.hpp"
#include "plasticity/plan.hpp"

// Checks of the argument structs that every implementation makes before any work: which tensors must be
// there, which must not. Each throws Error(invalid_argument) that names the tensor.
namespace plasticity {

/// Sizes T >= 0 and B >= 0, and every tensor of the spec small enough for 64-bit byte offsets.
void check_sizes(const Spec& spec, std::int64_t steps, std::int64_t batch);

/// `needed` bytes of the caller's memory, aligned to 64.
void check_memory(const char* name, const Memory& memory, std::size_t needed);

template <class Real>
void check_forward(const Spec& spec, std::int64_t steps, std::int64_t batch, const ForwardArgs<Real>& args);
template <class Real>
void check_backward(const Spec& spec, std::int64_t steps, std::int64_t batch, const BackwardArgs<Real>& args);
template <class Real>
void check_step(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args);

/// A group of state tensors, of which any may be null; messages call it `group`.
template <class Real>
void check_state(const Spec& spec, std::int64_t batch, const char* group, const State<Real>& state);

/// Every length in 0..steps. For lengths that the host can read.
void check_lengths(std::int64_t steps, std::int64_t batch, const std::int64_t* length);

}  // namespace plasticity
