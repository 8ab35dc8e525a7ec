#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include "model/shapes.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/plan.hpp"

// Checks for overlapping memory. An output must not overlap any other tensor of the call, or the result would
// depend on evaluation order. Exceptions: final_state may alias initial_state, and dinitial_state may alias
// dfinal_state.
namespace plasticity {

/// The memory of an argument, and the argument's name for messages.
struct NamedMemory {
  const char* name;
  const void* data;
  std::size_t bytes;

  template <class T>
  NamedMemory(const char* argument, std::span<T> view)
      : name(argument), data(view.data()), bytes(view.size_bytes()) {}
  /// `elements` numbers at `pointer`, which may be null.
  template <class T>
  NamedMemory(const char* argument, const T* pointer, std::int64_t elements)
      : name(argument),
        data(pointer),
        bytes(pointer == nullptr ? 0 : static_cast<std::size_t>(elements) * sizeof(T)) {}
};

/// Throws Error(invalid_argument) if `output` overlaps one of `others`. The message names both.
void check_no_overlap(const NamedMemory& output, std::initializer_list<NamedMemory> others);

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
