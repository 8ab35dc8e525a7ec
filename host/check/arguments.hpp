#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "model/shapes.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/plan.hpp"

// Checks of the argument structs. Every implementation runs them before any work. Each check throws
// Error(invalid_argument) whose message names the tensor.
namespace plasticity {

/// The largest number of elements of a tensor. 64 bits then hold the byte offsets of dozens of such tensors,
/// even if each element is padded to 64 bytes.
inline constexpr std::int64_t max_elements = std::int64_t{1} << 48;

/// Checks that a product of sizes, which `what` names, is at most max_elements.
void check_product(const char* what, std::initializer_list<std::int64_t> factors);

/// Checks that the spec is valid, T >= 0, B >= 0, and every tensor is small enough for 64-bit byte offsets.
/// Throws Error(invalid_spec) for a spec that is not valid.
void check_sizes(const Spec& spec, std::int64_t steps, std::int64_t batch);

/// As check_sizes(). Also checks the clip for a bfloat16 tape, and the checkpoint interval.
void check_plan(const Spec& spec, const PlanOptions& options);

/// Checks that `memory` has at least `needed` bytes and is aligned to 64 bytes.
void check_memory(const char* name, const Memory& memory, std::size_t needed);

/// Check that every required tensor is given, and no tensor that the spec does not have.
template <class Real>
void check_forward(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                   const ForwardArgs<Real>& args);
template <class Real>
void check_backward(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                    const BackwardArgs<Real>& args);
template <class Real>
void check_step(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args);

/// Checks that the state has no tensor that the spec does not have. Messages call the state `group`.
template <class Real>
void check_state(const TensorSizes& sizes, std::int64_t batch, const char* group, const State<Real>& state);

/// Checks that every label is -1 or a class.
void check_labels(const char* name, std::span<const std::int64_t> labels, std::int64_t classes);

/// Checks that every length is in 0..steps. `length` is [batch] in host memory, or null.
void check_lengths(std::int64_t steps, std::int64_t batch, const std::int64_t* length);

}  // namespace plasticity
