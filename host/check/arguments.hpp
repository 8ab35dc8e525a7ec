#pragma once

#include <span>

#include "plasticity/arguments.hpp"
#include "plasticity/plan.hpp"

// Checks of the argument structs. Every implementation runs them before any work. Each check throws
// Error(invalid_argument) whose message names the tensor.
namespace plasticity {

/// Checks that the spec is valid, T >= 0, B >= 0, and every tensor is small enough for 64-bit byte offsets.
/// Throws Error(invalid_spec) for a spec that is not valid.
void check_sizes(const Spec& spec, std::int64_t steps, std::int64_t batch);

/// Checks that `memory` has at least `needed` bytes and is aligned to 64 bytes.
void check_memory(const char* name, const Memory& memory, std::size_t needed);

/// Check that every required tensor is given, and no tensor that the spec does not have.
template <class Real>
void check_forward(const Spec& spec, std::int64_t steps, std::int64_t batch, const ForwardArgs<Real>& args);
template <class Real>
void check_backward(const Spec& spec, std::int64_t steps, std::int64_t batch, const BackwardArgs<Real>& args);
template <class Real>
void check_step(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args);

/// Checks that the state has no tensor that the spec does not have. Messages call the state `group`.
template <class Real>
void check_state(const Spec& spec, std::int64_t batch, const char* group, const State<Real>& state);

/// Checks that every label is -1 or a class.
void check_labels(const char* name, std::span<const std::int64_t> labels, std::int64_t classes);

/// Checks that every length is in 0..steps. `length` is [batch] in host memory, or null.
void check_lengths(std::int64_t steps, std::int64_t batch, const std::int64_t* length);

}  // namespace plasticity
